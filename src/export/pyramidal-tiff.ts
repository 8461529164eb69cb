import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { allocateSamples, bytesOfSamples, SAMPLE_TYPES, type SampleArray } from '../plane.js'
import { gridOf, levelSize } from '../pyramid/mosaic-geometry.js'
import type { MosaicSelection, Pyramid } from '../pyramid/pyramid.js'
import { omeXml } from '../render/ome-xml.js'
import type { ExportReport, ExportRequest } from './export-request.js'
import { ExportTarget } from './export-target.js'
import { ProgressCounter } from './progress-counter.js'
import { countTiles, planesOf } from './pyramid-planes.js'
import { type TiffBlock, type TiffImage, TiffWriter } from './tiff-writer.js'

const compress = promisify(deflate)

/** Fast, and within a tenth of the best. */
const DEFLATE_LEVEL = 4

const TILES_AT_ONCE = 8

/** Addresses of other files have 32 bit; the directories need a little room. */
const MAX_CLASSIC_BYTES = 2 ** 32 - 2 ** 26

/**
 * Export a pyramid as one OME-TIFF: a page for every plane, its smaller levels below it, in deflated tiles of the samples
 * as stored. What is not covered is 0, or NaN in floats.
 *
 * @throws {SourceUnavailableError} the target refuses it, or the disk for temporary files. @throws as `Pyramid.readTile`.
 */
export async function exportTiff(request: ExportRequest): Promise<ExportReport> {
  const { pyramid, folder, names } = request
  const name = names.image('ome.tif')
  const target = await ExportTarget.open(
    folder,
    `tiff-${names.stem}`,
    [pyramid.id, pyramid.version, ...names.titles].join(),
  )
  try {
    request.onPlan({ files: 1, bytes: sampleBytes(pyramid) })
    const progress = new ProgressCounter(target, 1, request)
    await target.putLarge(name, path => writePyramidalTiff(request, path))
    progress.count()
    await target.finish()
    return { results: [name], ...target.done }
  } finally {
    await target.abandon()
  }
}

/** Of all tiles, not compressed. */
function sampleBytes(pyramid: Pyramid): number {
  return countTiles(pyramid) * pyramid.geometry.tileSize ** 2 * SAMPLE_TYPES[pyramid.sampleType].bytes
}

async function writePyramidalTiff({ pyramid, names, software, signal }: ExportRequest, path: string): Promise<void> {
  const { geometry, sampleType } = pyramid
  const pixelSizeUm = geometry.isUncalibrated ? undefined : geometry.pixelSizeUm
  const writer = await TiffWriter.create(path, sampleBytes(pyramid) > MAX_CLASSIC_BYTES)
  try {
    // Places of which nothing is covered share one tile.
    const blank = await writer.write(await encodeTile(blankSamples(pyramid)))
    const pages: TiffImage[] = []
    for (const plane of planesOf(pyramid)) {
      const levels: TiffImage[] = []
      for (let level = 0; level < geometry.levelCount; level++)
        levels.push(await writeLevel(pyramid, plane, level, writer, blank, signal))
      const [finest, ...smaller] = levels
      pages.push({ ...(finest as TiffImage), smaller, pixelSizeUm, software })
    }
    const description = omeXml({
      ...geometry.size,
      name: pyramid.name,
      sampleType,
      channels: names.titles,
      zPlanes: pyramid.zPlanes,
      timePoints: pyramid.timePoints,
      pixelSizeUm,
      positionUm: geometry.isUncalibrated ? undefined : geometry.originUm,
      facts: { pyramid: pyramid.id, version: pyramid.version, darkLevel: String(pyramid.pedestal) },
    })
    await writer.finish(pages.map((page, i) => (i === 0 ? { ...page, description } : page)))
  } catch (error) {
    await writer.close().catch(() => undefined)
    throw error
  }
}

async function writeLevel(
  pyramid: Pyramid,
  plane: MosaicSelection,
  level: number,
  writer: TiffWriter,
  blank: TiffBlock,
  signal: AbortSignal,
): Promise<TiffImage> {
  const { geometry, sampleType } = pyramid
  const { columns, rows } = gridOf(geometry, level)
  const coverage = pyramid.coverage(plane)
  const blocks: TiffBlock[] = []
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < columns; first += TILES_AT_ONCE) {
      signal.throwIfAborted()
      const some = Array.from({ length: Math.min(TILES_AT_ONCE, columns - first) }, (_, i) => first + i)
      const encoded = await Promise.all(
        some.map(async column => {
          const address = { level, column, row }
          const tile = coverage.hasTile(address) ? await pyramid.readTile(plane, address, { signal }) : undefined
          return tile && encodeTile(tile.samples, geometry.tileSize)
        }),
      )
      for (const bytes of encoded) blocks.push(bytes ? await writer.write(bytes) : blank)
    }
  }
  const tile = { width: geometry.tileSize, height: geometry.tileSize }
  return {
    ...levelSize(geometry, level),
    ...{ sampleType, samplesPerPixel: 1, tile, blocks },
    isDeflated: true,
    isDifferenced: SAMPLE_TYPES[sampleType].integer,
  }
}

function blankSamples({ sampleType, geometry }: Pyramid): SampleArray {
  const samples = allocateSamples(sampleType, geometry.tileSize ** 2)
  return SAMPLE_TYPES[sampleType].integer ? samples : samples.fill(Number.NaN)
}

/** Samples of integers become differences to their left neighbours: these compress better. */
function encodeTile(samples: SampleArray, edge = Math.sqrt(samples.length)): Promise<Buffer> {
  const isFloat = samples instanceof Float32Array || samples instanceof Float64Array
  const coded = isFloat ? samples : samples.slice()
  // From the right, so that each neighbour is what it was; what does not fit the type wraps around, as it should.
  if (!isFloat) for (let i = coded.length - 1; i > 0; i--) if (i % edge !== 0) coded[i] = coded[i] - coded[i - 1]
  return compress(bytesOfSamples(coded), { level: DEFLATE_LEVEL })
}
