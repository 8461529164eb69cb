import { levelSize, type MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import { EXTRA_QUALITIES, type SizeLimits } from './iiif-image.js'

export const INFO_CONTEXT = 'http://iiif.io/api/image/3/context.json'

/**
 * What `info.json` tells: size, limits, and which tiles are at hand.
 *
 * @param id the image's absolute URL.
 * @see https://iiif.io/api/image/3.0/#5-image-information
 */
export function describeImage(id: string, geometry: MosaicGeometry, limits: SizeLimits): unknown {
  const { size, tileSize, levelCount } = geometry
  const levels = Array.from({ length: levelCount }, (_, level) => level)
  return {
    '@context': INFO_CONTEXT,
    id,
    type: 'ImageService3',
    protocol: 'http://iiif.io/api/image',
    profile: 'level2',
    ...size,
    maxWidth: limits.edge,
    maxHeight: limits.edge,
    maxArea: limits.area,
    sizes: levels
      .map(level => levelSize(geometry, level))
      .filter(({ width, height }) => Math.max(width, height) <= limits.edge && width * height <= limits.area)
      .reverse(),
    tiles: [{ width: tileSize, scaleFactors: levels.map(level => 2 ** level) }],
    preferredFormats: ['png'],
    extraFormats: ['webp'],
    extraQualities: EXTRA_QUALITIES,
    extraFeatures: ['mirroring', 'sizeUpscaling'],
  }
}
