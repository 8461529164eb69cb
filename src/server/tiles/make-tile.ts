import { bytesOfSamples, SAMPLE_TYPES, type Size } from '../../plane.js'
import { encodeBlosc } from '../../pyramid/blosc.js'
import type { PictureLayer } from '../../render/picture.js'
import type { LayerStyle } from '../../render/style.js'
import type { Drawing } from './drawing.js'
import { cutTile } from './tile-cut.js'
import type { WantedPicture, WantedSamples, WantedTile } from './wanted-tile.js'

/** Stands for a tile of a growing pyramid of which there is nothing yet. */
export const NOT_BUILT = Buffer.alloc(0)

/** How nothing is drawn does not matter. */
const ANY_STYLE: LayerStyle = { black: 0, white: 1, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false }

/**
 * The bytes of a tile that something is covered of, or `NOT_BUILT`.
 *
 * @param key names them.
 * @throws as `Pyramid.readTile`, or the signal's reason.
 */
export async function makeTile(
  drawing: Drawing,
  wanted: WantedTile,
  key: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const { cache, tiles } = drawing
  if (wanted.style) return cache.getOrCompute(key, unwanted => drawTile(drawing, wanted, unwanted), signal)
  if (wanted.format === 'bin') {
    const tile = await tiles.read(wanted.pyramid, wanted.selections[0], wanted.address, signal)
    return tile?.bytes ?? NOT_BUILT
  }
  const stored = await tiles.readFrame(wanted.pyramid, wanted.selections[0], wanted.address, signal)
  return stored ?? cache.getOrCompute(key, unwanted => encodeFrame(drawing, wanted, unwanted), signal)
}

/** A picture of a tile of which nothing is covered: transparent, or of the background. */
export function drawEmptyTile({ cache, crew }: Drawing, wanted: WantedPicture, signal: AbortSignal): Promise<Buffer> {
  const { format, style } = wanted
  const { width, height } = pictureSize(wanted)
  const nothing = new Uint8Array(width * height)
  const layers = [{ samples: nothing, mask: nothing, style: ANY_STYLE }]
  const job = { width, height, layers, format, background: style.background }
  return cache.getOrCompute(emptyKey(wanted), unwanted => crew.render(job, unwanted), signal)
}

/** Names the bytes of an empty picture, which all pyramids share. */
export function emptyKey(wanted: WantedPicture): string {
  const { width, height } = pictureSize(wanted)
  return `tile/empty/${width}x${height}/${wanted.format}/${wanted.style.background ?? ''}`
}

function pictureSize({ pyramid, cut }: WantedPicture): Size {
  const { tileSize: edge } = pyramid.geometry
  return cut ?? { width: edge, height: edge }
}

async function drawTile({ tiles, crew }: Drawing, wanted: WantedPicture, unwanted: AbortSignal): Promise<Buffer> {
  const { pyramid, address, format, cut } = wanted
  const { layers, background, quality } = wanted.style
  const covered = await Promise.all(
    layers.map(async ({ selection, style }): Promise<PictureLayer | undefined> => {
      const tile = await tiles.read(pyramid, selection, address, unwanted)
      const shown = tile && (cut ? cutTile(tile, cut) : { samples: tile.plane.samples, mask: tile.mask })
      return shown && { ...shown, style }
    }),
  )
  const drawn = covered.filter(layer => layer !== undefined)
  if (drawn.length === 0) return NOT_BUILT
  const { width, height } = pictureSize(wanted)
  return crew.render({ width, height, layers: drawn, format, background, quality }, unwanted)
}

/** A chunk as our pyramids store it, of samples that are not stored so. */
async function encodeFrame(
  { tiles }: Drawing,
  { pyramid, selections, address }: WantedSamples,
  unwanted: AbortSignal,
): Promise<Buffer> {
  const tile = await tiles.read(pyramid, selections[0], address, unwanted)
  if (!tile) return NOT_BUILT
  const frame = encodeBlosc(bytesOfSamples(tile.plane.samples), SAMPLE_TYPES[pyramid.sampleType].bytes)
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
}
