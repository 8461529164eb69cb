import { rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { naturalOrder } from '../natural-order.js'
import { type Rect, type Size, unite } from '../plane.js'
import { writeFileAtomically } from '../pyramid/atomic-file.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import { automaticWindow } from '../pyramid/histogram.js'
import { areAlike, type ItemsRecord, writeItemTable } from '../pyramid/items.js'
import { orientedSize } from '../pyramid/orient-plane.js'
import type { Placement } from '../pyramid/placement.js'
import { writePlacementTable } from '../pyramid/placement-table.js'
import {
  HISTOGRAMS_FILE,
  ITEMS_FILE,
  levelDocument,
  PLACEMENT_FILE,
  type PyramidRecord,
  REPORT_FILE,
  ROOT_FILE,
  rootDocument,
  type SideFile,
} from '../pyramid/pyramid-record.js'
import type { StoredHistograms } from '../pyramid/pyramid-store.js'
import { checksumOf } from '../pyramid/side-file.js'
import { absoluteUrl } from '../sources/absolute-url.js'
import type { FrameSource } from '../sources/frame-source.js'
import type { BuildSummary } from './build-report.js'
import { describeSettings } from './fingerprint.js'

/** What the record says that is not in the placement. */
export interface PyramidFacts {
  /** The name that people see: of the folder that was asked for. */
  readonly name: string
  readonly id: string
  readonly revision: string
  readonly fingerprint: string
  readonly sources: readonly FrameSource[]
  readonly settings: BuildSettings
  readonly software: string
  readonly marginPx: number
  /** Of the pyramid that lay there, by its record: these levels are ours. */
  readonly levelsBefore: number
}

/** What came of a build. */
export interface BuildOutcome extends BuildSummary {
  /** Of the skipped frames, how many were missing or out of reach. */
  readonly unavailable: number
  /** Wall time, s. */
  readonly seconds: number
}

type RecordedOutcome = Pick<BuildOutcome, 'skipped' | 'unavailable' | 'clipped' | 'seconds'>

const NOTHING_YET: RecordedOutcome = { skipped: new Map(), unavailable: 0, clipped: 0, seconds: 0 }

/** What a file holds. */
export interface WrittenFile {
  readonly checksum: string
  readonly bytes: number
}

/** Writes everything of a pyramid's folder that is no shard. */
export class PyramidWriter {
  readonly #directory: string
  readonly #facts: PyramidFacts
  readonly #written: Map<string, WrittenFile>

  /** @param written what was written last under each name, so that nothing is written twice; kept from round to round. */
  constructor(directory: string, written: Map<string, WrittenFile>, facts: PyramidFacts) {
    this.#directory = directory
    this.#written = written
    this.#facts = facts
  }

  /** Files that it wrote, each counted once. */
  get files(): number {
    return this.#written.size
  }

  /** Of those files. */
  get bytes(): number {
    return [...this.#written.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Say what is going to be built: the plan, then the metadata without the completion marker. */
  async writePlan(placement: Placement): Promise<void> {
    const table = writePlacementTable(placement.frames, this.#frameSizes, new Map())
    const planned = this.#record(placement, NOTHING_YET)
    // A build that is killed before it has a plan must leave a folder that it knows again.
    if (!this.#exists(ROOT_FILE)) await this.#writeRoot(planned)
    await this.#write(PLACEMENT_FILE, table)
    const items = await this.#writeItems(placement)
    const record: PyramidRecord = {
      ...planned,
      ...(items && { items }),
      placement: { path: PLACEMENT_FILE, crc32c: checksumOf(table) },
    }
    // The arrays first: readers of Zarr find them once the group names them.
    await this.#writeLevels(record)
    await this.#writeRoot(record)
  }

  /** Write the side files, then the root metadata that says the pyramid is complete. */
  async finish(placement: Placement, outcome: BuildOutcome): Promise<PyramidRecord> {
    const { skipped, histograms, report } = outcome
    // One after the other: of a large plate each has tens of megabytes.
    const sideFile = async (path: string, text: string): Promise<SideFile> => ({
      path,
      crc32c: await this.#write(path, text),
    })
    const items = await this.#writeItems(placement)
    const record: PyramidRecord = {
      ...this.#record(placement, outcome),
      ...(items && { items }),
      complete: true,
      placement: await sideFile(PLACEMENT_FILE, writePlacementTable(placement.frames, this.#frameSizes, skipped)),
      histograms: await sideFile(HISTOGRAMS_FILE, JSON.stringify(histograms)),
      report: await sideFile(REPORT_FILE, JSON.stringify(report)),
    }
    await this.#writeLevels(record)
    await this.#removeLevels(record.levelCount)
    await this.#writeRoot(record, histograms)
    return record
  }

  /** A mosaic that grew in steps is smaller once it is exact. Other folders whose names are numbers are the user's. */
  async #removeLevels(from: number): Promise<void> {
    const { levelsBefore } = this.#facts
    for (let level = from; level < levelsBefore || this.#written.has(`${level}/${ROOT_FILE}`); level++) {
      await rm(join(this.#directory, String(level)), { recursive: true, force: true })
      this.#written.delete(`${level}/${ROOT_FILE}`)
    }
  }

  removeShard(name: string): void {
    rmSync(join(this.#directory, name), { force: true })
  }

  async #writeLevels(record: PyramidRecord): Promise<void> {
    for (let level = 0; level < record.levelCount; level++)
      await this.#writeJson(`${level}/${ROOT_FILE}`, levelDocument(record, level))
  }

  async #writeRoot(record: PyramidRecord, histograms?: StoredHistograms): Promise<void> {
    const windows = histograms?.channels.map(({ levels }) => automaticWindow(levels[0], record.sampleType)) ?? []
    await this.#writeJson(ROOT_FILE, rootDocument(record, this.#facts.name, windows))
  }

  async #writeJson(name: string, document: unknown): Promise<void> {
    await this.#write(name, `${JSON.stringify(document, null, 2)}\n`)
  }

  /** @returns the text's checksum. */
  async #write(name: string, text: string): Promise<string> {
    const checksum = checksumOf(text)
    if (this.#written.get(name)?.checksum === checksum) return checksum
    await writeFileAtomically(join(this.#directory, name), text)
    this.#written.set(name, { checksum, bytes: Buffer.byteLength(text) })
    return checksum
  }

  /** Where the images of a stack lie; the table that tells of them gets a file. Series that lie over each other share them. */
  async #writeItems({ frames }: Placement): Promise<ItemsRecord | undefined> {
    const series = this.#facts.sources.findIndex(source => source.series.items)
    const items = this.#facts.sources[series]?.series.items
    const areShared = this.#facts.sources.every(({ series: { items: own } }) => items && own && areAlike(items, own))
    if (!items || !areShared) return undefined
    const { table, ...grid } = items
    const { x0: x, y0: y } = frames.reduce<Rect | undefined>(
      (box, frame) => (frame.series === series ? unite(box, frame.rect) : box),
      undefined,
    )!
    if (!table) return { ...grid, x, y }
    const crc32c = await this.#write(ITEMS_FILE, writeItemTable(table))
    return { ...grid, x, y, table: { path: ITEMS_FILE, crc32c, columns: table.map(({ name }) => name) } }
  }

  /** Of each series, as they lie in the mosaic. */
  get #frameSizes(): Size[] {
    const { sources, settings } = this.#facts
    return sources.map(({ series }) => orientedSize(series.frameSize, settings.orientation))
  }

  #exists(name: string): boolean {
    return statSync(join(this.#directory, name), { throwIfNoEntry: false }) !== undefined
  }

  #record(
    { geometry, frames, ...placement }: Placement,
    { skipped, unavailable, clipped, seconds }: RecordedOutcome,
  ): PyramidRecord {
    const { sources, settings, software, id, revision, fingerprint, marginPx } = this.#facts
    const { join: joined } = settings
    return {
      formatVersion: 1,
      software,
      id,
      revision,
      complete: false,
      created: new Date().toISOString(),
      fingerprint,
      sampleType: placement.sampleType,
      pedestal: placement.pedestal,
      ...geometry,
      channels: placement.channels.map(({ name, color, unit, active }) => ({
        ...{ name, color: color ?? null },
        ...(unit !== undefined && { unit }),
        ...(active !== undefined && { active }),
      })),
      zPlanes: placement.zPlanes,
      timePoints: placement.timePoints,
      ...(placement.axes && { axes: placement.axes }),
      wells: wellsOf(frames, skipped),
      series: sources.map(({ url, series }, i) => ({
        name: series.name,
        url: absoluteUrl(url),
        fingerprint: series.fingerprint,
        frames: series.frames.length,
        dataStartsAt: series.dataStartsAt,
        darkLevel: Number.isNaN(placement.darkLevels[i]) ? null : placement.darkLevels[i],
        channel: joined.kind === 'channels' ? joined.names[i] : null,
        ...this.#frameSizes[i],
      })),
      settings: describeSettings(settings),
      frames: {
        used: frames.length - skipped.size,
        skipped: skipped.size,
        ...(unavailable > 0 && { unavailable }),
      },
      clippedSamples: clipped,
      warnings: placement.warnings,
      seconds: Math.round(seconds * 1000) / 1000,
      marginPx,
    }
  }
}

/** The wells with a used frame, in reading order of their names, and the box around those frames. */
function wellsOf(frames: Placement['frames'], skipped: ReadonlyMap<number, string>): PyramidRecord['wells'] {
  const wells = new Map<string, { frames: number; rect: Rect }>()
  frames.forEach(({ well, rect }, i) => {
    if (skipped.has(i)) return
    const known = wells.get(well)
    wells.set(well, { frames: (known?.frames ?? 0) + 1, rect: unite(known?.rect, rect) })
  })
  return [...wells]
    .sort(([a], [b]) => naturalOrder(a, b))
    .map(([name, well]) => ({ name, frames: well.frames, ...well.rect }))
}

/** What people call a pyramid in a folder. */
export function nameOfOutput(path: string): string {
  return basename(resolve(path)) || 'pyramid'
}
