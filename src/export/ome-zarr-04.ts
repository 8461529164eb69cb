import { bytesOfSamples, SAMPLE_TYPES, type SampleType } from '../plane.js'
import { encodeBlosc } from '../pyramid/blosc.js'
import { automaticWindow } from '../pyramid/histogram.js'
import { levelSize, type TileAddress } from '../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../pyramid/pyramid.js'
import { channelColours } from '../render/channel-colours.js'
import type { ExportReport, ExportRequest } from './export-request.js'
import { type ExportObject, ExportTarget } from './export-target.js'
import { ProgressCounter } from './progress-counter.js'
import { countTiles, planesOf, presentTiles } from './pyramid-planes.js'

const DTYPES: Readonly<Record<SampleType, string>> = {
  uint8: '|u1',
  uint16: '<u2',
  int16: '<i2',
  uint32: '<u4',
  int32: '<i4',
  float32: '<f4',
  float64: '<f8',
}

/**
 * Export an OME-Zarr 0.4: Zarr version 2, a file for every tile that holds something. Our own pyramids keep their tiles as
 * Zarr wants them, so these are copied as they are, once their checksums are right. What makes it an image is written
 * last.
 *
 * @throws {SourceUnavailableError} the target refuses something. @throws as `Pyramid.readTile`.
 */
export async function exportOmeZarr04(request: ExportRequest): Promise<ExportReport> {
  const { pyramid, folder, names, signal } = request
  const root = names.image('ome.zarr')
  const target = await ExportTarget.open(folder, `ome-zarr-${names.stem}`, [pyramid.id, pyramid.version].join(), root)
  try {
    const { levelCount } = pyramid.geometry
    const total = countTiles(pyramid) + levelCount + 2
    request.onPlan({ files: total })
    const progress = new ProgressCounter(target, total, request)
    await target.putAll(chunksOf(pyramid, root, signal), signal, () => progress.count())
    for (let level = 0; level < levelCount; level++) {
      await target.putSmall(`${root}/${level}/.zarray`, json(describeArray(pyramid, level)))
      progress.count()
    }
    await target.putSmall(`${root}/.zgroup`, json({ zarr_format: 2 }))
    progress.count()
    await target.finish()
    await target.putSmall(`${root}/.zattrs`, json(await describeImage(pyramid, names.titles)))
    progress.count()
    return { results: [root], ...target.done }
  } finally {
    await target.abandon()
  }
}

function* chunksOf(pyramid: Pyramid, root: string, signal: AbortSignal): Generator<ExportObject> {
  for (const plane of planesOf(pyramid)) {
    const { channel, zPlane, timePoint } = plane
    for (let level = 0; level < pyramid.geometry.levelCount; level++) {
      for (const address of presentTiles(pyramid, plane, level)) {
        const name = `${root}/${level}/${timePoint}/${channel}/${zPlane}/${address.row}/${address.column}`
        yield { name, make: () => readChunk(pyramid, plane, address, signal) }
      }
    }
  }
}

async function readChunk(
  pyramid: Pyramid,
  plane: MosaicSelection,
  address: TileAddress,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const stored = await pyramid.readFrame?.(plane, address, { signal })
  if (stored) return stored
  const tile = await pyramid.readTile(plane, address, { signal })
  if (!tile) throw new RangeError('coverage names a tile that is not there')
  return encodeBlosc(bytesOfSamples(tile.samples), SAMPLE_TYPES[pyramid.sampleType].bytes)
}

function describeArray(pyramid: Pyramid, level: number): unknown {
  const { geometry, sampleType, channels, zPlanes, timePoints } = pyramid
  const { width, height } = levelSize(geometry, level)
  return {
    zarr_format: 2,
    shape: [timePoints, channels.length, zPlanes, height, width],
    chunks: [1, 1, 1, geometry.tileSize, geometry.tileSize],
    dtype: DTYPES[sampleType],
    compressor: { id: 'blosc', cname: 'lz4', clevel: 5, shuffle: 1, blocksize: 0 },
    fill_value: SAMPLE_TYPES[sampleType].integer ? 0 : 'NaN',
    order: 'C',
    filters: null,
    dimension_separator: '/',
  }
}

async function describeImage(pyramid: Pyramid, titles: readonly string[]): Promise<unknown> {
  const { geometry, name, channels, sampleType } = pyramid
  const { originUm, pixelSizeUm, levelCount } = geometry
  const unit = geometry.isUncalibrated ? {} : { unit: 'micrometer' }
  const along = (axis: string) => ({ name: axis, type: 'space', ...unit })
  const datasets = Array.from({ length: levelCount }, (_, level) => {
    const scale = 2 ** level
    // Positions are those of pixel centres.
    const shift = (um: number): number => ((scale - 1) / 2) * um
    return {
      path: String(level),
      coordinateTransformations: [
        { type: 'scale', scale: [1, 1, 1, pixelSizeUm.y * scale, pixelSizeUm.x * scale] },
        {
          type: 'translation',
          translation: [0, 0, 0, originUm.y + shift(pixelSizeUm.y), originUm.x + shift(pixelSizeUm.x)],
        },
      ],
    }
  })
  const colours = channelColours(channels)
  const shown = await Promise.all(
    titles.map(async (label, i) => {
      const histogram = await pyramid.histogram(i)
      const { black, white } = automaticWindow(histogram, sampleType)
      const finite = (value: number, instead: number): number => (Number.isFinite(value) ? value : instead)
      const window = { start: black, end: white, min: finite(histogram.min, black), max: finite(histogram.max, white) }
      return { label, color: (colours[i] as string).slice(1), window, active: true }
    }),
  )
  return {
    multiscales: [
      {
        version: '0.4',
        name,
        axes: [
          { name: 't', type: 'time' },
          { name: 'c', type: 'channel' },
          { name: 'z', type: 'space' },
          along('y'),
          along('x'),
        ],
        datasets,
      },
    ],
    omero: { version: '0.4', name, channels: shown, rdefs: { model: titles.length > 1 ? 'color' : 'greyscale' } },
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
