import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { CorruptDataError } from '../errors.js'
import { type Plane, type Rect, unite } from '../plane.js'
import type { FrameSource } from '../sources/frame-source.js'
import { writeFileAtomically } from './atomic-file.js'
import { type BuildOutput, prepareOutput, refuseInsideInput } from './build-output.js'
import type { BuildSettings } from './build-settings.js'
import { isSameSelection, PlaneBuilder } from './build-shards.js'
import { FrameLoader } from './frame-loader.js'
import { automaticWindow, HistogramBuilder } from './histogram.js'
import { orientedSize } from './orient-plane.js'
import { type LocatedSeries, type Placement, placeFrames } from './placement.js'
import { writePlacementTable } from './placement-table.js'
import type { MosaicSelection } from './pyramid.js'
import {
  HISTOGRAMS_FILE,
  levelDocument,
  PLACEMENT_FILE,
  type PyramidRecord,
  ROOT_FILE,
  rootDocument,
} from './pyramid-record.js'
import { checksumOf, type SkippedFrame, type StoredHistograms } from './pyramid-store.js'

export interface BuildRequest {
  /** In order; the first names the dark level and pixel size of the pyramid. The caller closes them. */
  readonly sources: readonly FrameSource[]
  /** Folder of the pyramid. */
  readonly output: string
  readonly settings: BuildSettings
  /** Replace a finished pyramid of other series or settings. */
  readonly overwrite: boolean
  /** Stop at the first frame that cannot be read. */
  readonly strict: boolean
  /** Name and version of the program, written into the pyramid. */
  readonly software: string
  readonly onProgress?: (progress: BuildProgress) => void
  readonly signal?: AbortSignal
}

export interface BuildProgress {
  readonly framesDone: number
  readonly framesTotal: number
  /** Decoded samples read so far, bytes. */
  readonly bytesDone: number
  readonly seconds: number
}

export interface BuildReport {
  readonly record: PyramidRecord
  /** False where the pyramid was there already. */
  readonly built: boolean
  readonly skipped: readonly SkippedFrame[]
  readonly files: number
  readonly bytes: number
}

/**
 * Build the pyramid of several series: plan, shards of every plane, side files, and the completion marker last.
 *
 * A frame that cannot be read is skipped and reported (with `strict` it stops the build).
 *
 * @throws {TilestageError} the series do not fit together, the output cannot be used, or no frame can be read; nothing
 *   that was there before is lost.
 */
export async function buildPyramid(request: BuildRequest): Promise<BuildReport> {
  const { sources, settings, strict, signal } = request
  const started = performance.now()
  await refuseInsideInput(
    request.output,
    sources.map(({ url }) => url),
  )
  const placement = placeFrames(sources, settings)
  const fingerprint = fingerprintOf(sources, settings)
  const loader = new FrameLoader(sources, placement, settings, strict)
  loader.onFrame = () =>
    request.onProgress?.({
      framesDone: loader.read.size + loader.skipped.size,
      framesTotal: placement.frames.length,
      bytesDone: loader.bytesRead,
      seconds: (performance.now() - started) / 1000,
    })
  const output = await prepareOutput(request.output, fingerprint, request.overwrite)
  if (!('directory' in output)) return { record: output, built: false, skipped: [], files: 0, bytes: 0 }
  try {
    const writer = new PyramidWriter(request, placement, fingerprint, output)
    await writer.start()
    const clipped = await buildPlanes(request, placement, loader, writer)
    signal?.throwIfAborted()
    if (loader.read.size === 0) throw noFrame(loader)
    const seconds = (performance.now() - started) / 1000
    const record = await writer.finish(loader.skipped, clipped, seconds)
    await output.finish()
    const skipped = [...loader.skipped].map(([position, reason]) => {
      const frame = placement.frames[position]
      return { series: sources[frame.series].series.name, frame: frame.index, reason }
    })
    return { record, built: true, skipped, files: writer.files, bytes: writer.bytes }
  } catch (error) {
    await output.abandon()
    throw error
  }
}

/** @returns how many samples were clipped to the stored type. */
async function buildPlanes(
  { settings, signal }: BuildRequest,
  placement: Placement,
  loader: FrameLoader,
  writer: PyramidWriter,
): Promise<number> {
  let clipped = 0
  for (const selection of selectionsOf(placement)) {
    const builder = new PlaneBuilder(writer.directory, placement, settings, loader, selection, {
      histogram: level => writer.histogram(selection.channel, level),
      written: bytes => writer.count(bytes),
    })
    await builder.build(signal)
    clipped += builder.clipped
  }
  return clipped
}

/** The planes that hold a frame, by time, channel, z. */
function selectionsOf({ frames }: Placement): MosaicSelection[] {
  const found: MosaicSelection[] = []
  for (const { selection } of frames) if (!found.some(other => isSameSelection(other, selection))) found.push(selection)
  return found.sort((a, b) => a.timePoint - b.timePoint || a.channel - b.channel || a.zPlane - b.zPlane)
}

function noFrame(loader: FrameLoader): CorruptDataError {
  const [first] = loader.skipped.values()
  return new CorruptDataError(`None of the ${loader.skipped.size} frames can be read; the first failure: ${first}`)
}

/** Everything of a pyramid's folder that is not a shard. */
class PyramidWriter {
  readonly directory: string
  files = 0
  bytes = 0
  readonly #request: BuildRequest
  readonly #placement: Placement
  readonly #fingerprint: string
  readonly #output: BuildOutput
  readonly #histograms: HistogramBuilder[][]

  constructor(request: BuildRequest, placement: Placement, fingerprint: string, output: BuildOutput) {
    this.directory = output.directory
    this.#request = request
    this.#placement = placement
    this.#fingerprint = fingerprint
    this.#output = output
    this.#histograms = placement.channels.map(() =>
      Array.from({ length: placement.geometry.levelCount }, () => new HistogramBuilder(placement.sampleType)),
    )
  }

  histogram(channel: number, level: number): HistogramBuilder {
    return this.#histograms[channel][level]
  }

  count(bytes: number): void {
    this.files++
    this.bytes += bytes
  }

  /** Claim the folder: metadata without the completion marker. */
  async start(): Promise<void> {
    const record = this.#record(new Map(), 0, 0)
    await this.#writeRoot(record)
    for (let level = 0; level < record.levelCount; level++)
      await this.#writeJson(`${level}/${ROOT_FILE}`, levelDocument(record, level))
  }

  /** Write the side files, then the root metadata that says the pyramid is complete. */
  async finish(skipped: ReadonlyMap<number, string>, clippedSamples: number, seconds: number): Promise<PyramidRecord> {
    const placement = writePlacementTable(this.#placement.frames, skipped)
    const histograms: StoredHistograms = {
      channels: this.#histograms.map(levels => ({ levels: levels.map(builder => builder.finish()) })),
    }
    const histogramText = JSON.stringify(histograms)
    await this.#write(PLACEMENT_FILE, placement)
    await this.#write(HISTOGRAMS_FILE, histogramText)
    const record: PyramidRecord = {
      ...this.#record(skipped, clippedSamples, seconds),
      complete: true,
      placement: { path: PLACEMENT_FILE, crc32c: checksumOf(placement) },
      histograms: { path: HISTOGRAMS_FILE, crc32c: checksumOf(histogramText) },
    }
    await this.#writeRoot(record, histograms)
    return record
  }

  #record(skipped: ReadonlyMap<number, string>, clippedSamples: number, seconds: number): PyramidRecord {
    const { geometry, frames, ...placement } = this.#placement
    const { sources, settings, software } = this.#request
    return {
      formatVersion: 1,
      software,
      id: this.#output.id,
      revision: this.#output.revision,
      complete: false,
      created: new Date().toISOString(),
      fingerprint: this.#fingerprint,
      sampleType: placement.sampleType,
      pedestal: placement.pedestal,
      ...geometry,
      channels: placement.channels.map(({ name, color }) => ({ name, color: color ?? null })),
      zPlanes: placement.zPlanes,
      timePoints: placement.timePoints,
      wells: wellsOf(this.#placement, skipped),
      series: sources.map(({ url, series }, i) => ({
        name: series.name,
        url: resolve(url),
        fingerprint: series.fingerprint,
        frames: series.frames.length,
        dataStartsAt: series.dataStartsAt,
        darkLevel: Number.isNaN(placement.darkLevels[i]) ? null : placement.darkLevels[i],
        ...orientedSize(series.frameSize, settings.orientation),
      })),
      settings: describeSettings(settings),
      frames: { used: frames.length - skipped.size, skipped: skipped.size },
      clippedSamples,
      warnings: placement.warnings,
      seconds: Math.round(seconds * 1000) / 1000,
    }
  }

  async #writeRoot(record: PyramidRecord, histograms?: StoredHistograms): Promise<void> {
    const windows = histograms?.channels.map(({ levels }) => automaticWindow(levels[0], record.sampleType)) ?? []
    const name = this.#request.output.split(/[\\/]/).filter(Boolean).at(-1) ?? 'pyramid'
    await this.#writeJson(ROOT_FILE, rootDocument(record, name, windows))
  }

  async #writeJson(name: string, document: unknown): Promise<void> {
    await this.#write(name, `${JSON.stringify(document, null, 2)}\n`)
  }

  async #write(name: string, text: string): Promise<void> {
    await writeFileAtomically(join(this.directory, name), text)
    this.count(Buffer.byteLength(text))
  }
}

/** The wells with a used frame, in reading order of their names, and the box around those frames. */
function wellsOf({ frames }: Placement, skipped: ReadonlyMap<number, string>): PyramidRecord['wells'] {
  const wells = new Map<string, { frames: number; rect: Rect }>()
  frames.forEach(({ well, rect }, i) => {
    if (skipped.has(i)) return
    const known = wells.get(well)
    wells.set(well, { frames: (known?.frames ?? 0) + 1, rect: unite(known?.rect, rect) })
  })
  const { compare } = new Intl.Collator('en', { numeric: true })
  return [...wells]
    .sort(([a], [b]) => compare(a, b))
    .map(([name, well]) => ({ name, frames: well.frames, ...well.rect }))
}

/** The settings without their planes, whose checksums stand for them. */
function describeSettings(settings: BuildSettings): Record<string, unknown> {
  const { dark, gain, illumination, ...plain } = settings
  const sum = (plane: Plane): string =>
    createHash('sha256').update(Buffer.from(plane.samples.buffer)).digest('hex').slice(0, 16)
  return {
    ...plain,
    dark: typeof dark === 'object' ? `plane ${sum(dark)}` : dark,
    gain: gain && `plane ${sum(gain)}`,
    illumination: illumination && `plane ${sum(illumination)}`,
  }
}

/** Stands for the series and settings of a build: equal fingerprints give equal samples. */
export function fingerprintOf(sources: readonly LocatedSeries[], settings: BuildSettings): string {
  const series = sources.map(({ series: { name, fingerprint } }) => [name, fingerprint])
  return createHash('sha256')
    .update(JSON.stringify([1, series, describeSettings(settings)]))
    .digest('hex')
    .slice(0, 16)
}
