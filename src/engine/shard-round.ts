import { renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fromSystemError, NotFoundError, SourceUnavailableError } from '../errors.js'
import { unpackError } from '../packed-error.js'
import { intersect, type Rect, SAMPLE_TYPES, type Size, samplesFromBytes } from '../plane.js'
import type { BuildFeed, Thumbnail } from '../pyramid/build-feed.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import { SHARD_SIZE, tileRegion } from '../pyramid/mosaic-geometry.js'
import type { PlacedFrame } from '../pyramid/placement.js'
import type { MosaicSelection } from '../pyramid/pyramid.js'
import type { ShardEntry, ShardJournal, ShardKey } from '../pyramid/shard-journal.js'
import type { FrameSeries, FrameSource } from '../sources/frame-source.js'
import { type BlockPool, keyOfBlock } from './block-pool.js'
import {
  type BuildJob,
  type LeafTask,
  type MadeShard,
  type ParentTask,
  type TaskFrame,
  temporaryPath,
} from './build-job.js'
import type { BuildProgress } from './build-pyramid.js'
import { type Crew, WorkerLostError } from './crew.js'
import type { CrewKeeper } from './crew-keeper.js'
import { ShardQueue } from './shard-queue.js'
import type { ShardNode, ShardTree } from './shard-tree.js'

/** A shard that a worker ended on is tried once more. */
const TRIES = 2

/** Where the stage stood last somebody looks: shards of so many newest frames of a series come before older ones. */
const NEWEST_FRAMES = 20

/** Why a frame was left out. */
export interface Skip {
  readonly reason: string
  /** It was missing or out of reach, and not damaged. */
  readonly isUnavailable: boolean
}

interface SkippedFrame extends Skip {
  readonly series: number
  readonly frame: number
}

export interface RoundOptions {
  readonly directory: string
  readonly tree: ShardTree
  readonly journal: ShardJournal
  readonly sources: readonly FrameSource[]
  readonly settings: BuildSettings
  /** Whether more frames are expected: then leaves come first, and blocks stay for the next round. */
  readonly grows: boolean
  /** Stop at the first frame that cannot be read. */
  readonly strict: boolean
  /** Why frames were left out, by `frameName`; kept from round to round. */
  readonly skips: Map<string, Skip>
  /** Frames that are shown, by `frameNumber`; kept from round to round: a shard that is made again shows what it had. */
  readonly shown: Set<number>
  readonly crews: CrewKeeper
  readonly feed: BuildFeed
  /** When the round began, ms of `performance.now()`. */
  readonly startedMs: number
  readonly onProgress: ((progress: BuildProgress) => void) | undefined
  readonly signal: AbortSignal | undefined
}

/** The reduced samples of a child, while its parent is made. */
interface BorrowedBlock {
  readonly key: string
  /** Undefined where they are to be read back. */
  readonly block: SharedArrayBuffer | undefined
}

/** Makes every shard of a plan that is not there yet, or no longer as the plan has it. */
export class ShardRound {
  readonly #options: RoundOptions
  readonly #tree: ShardTree
  readonly #journal: ShardJournal
  #queue: ShardQueue | undefined
  readonly #tries = new Map<ShardNode, number>()
  /** 1 for frames of which a shard is there, by position. */
  readonly #done: Uint8Array
  /** Of a decoded frame. */
  readonly #meanBytes: number
  #framesDone = 0
  #framesBefore = 0
  #isCutShort = false

  constructor(options: RoundOptions) {
    this.#options = options
    this.#tree = options.tree
    this.#journal = options.journal
    const { frames } = options.tree.placement
    this.#done = new Uint8Array(frames.length)
    const bytes = options.sources.map(({ series }) => SAMPLE_TYPES[series.sampleType].bytes)
    const bytesOf = ({ series, rect }: PlacedFrame): number => (rect.x1 - rect.x0) * (rect.y1 - rect.y0) * bytes[series]
    this.#meanBytes = frames.reduce((sum, frame) => sum + bytesOf(frame), 0) / Math.max(1, frames.length)
  }

  /** Whether it ended before everything was made. */
  get wasCutShort(): boolean {
    return !this.#queue?.isDone
  }

  /** Begin nothing more. */
  cutShort(): void {
    this.#isCutShort = true
  }

  get framesDone(): number {
    return this.#framesDone - this.#framesBefore
  }

  /** Samples of those frames. */
  get bytesDone(): number {
    return Math.round(this.framesDone * this.#meanBytes)
  }

  /** The frames that were left out. */
  get skipped(): SkippedFrame[] {
    return this.#skipsAmong([...this.#tree.placement.frames.keys()])
  }

  /** Whether a shard belongs to the plan. */
  plans(key: ShardKey): boolean {
    return this.#tree.find(key) !== undefined
  }

  /** Make what a tile shows next. */
  prioritise(selection: MosaicSelection, level: number, row: number, column: number): void {
    const across = SHARD_SIZE / this.#tree.placement.geometry.tileSize
    const shard = { row: Math.floor(row / across), column: Math.floor(column / across) }
    this.#queue?.prioritise({ selection, level, ...shard })
  }

  /**
   * @throws {TilestageError} a shard cannot be made or written; those that are there stay.
   * @throws the signal's reason.
   */
  async run(): Promise<void> {
    const { crews, grows, sources, signal, tree } = this.#options
    signal?.throwIfAborted()
    const held = (node: ShardNode): string | undefined => this.#heldFingerprint(node)
    const expected = (leaf: ShardNode): string => tree.fingerprintOfLeaf(leaf, position => this.#isSkipped(position))
    const queue = new ShardQueue(tree, held, expected)
    this.#queue = queue
    this.#countShown()
    this.#countDone(tree.leaves.filter(leaf => queue.isCurrent(leaf)))
    this.#framesBefore = this.#framesDone
    if (queue.isDone) return
    const deepest = tree.leaves.reduce((most, { frames }) => Math.max(most, frames.length), 0)
    const { crew, blocks } = await crews.hire(this.#job(), sources, tree.placement.frames.length, deepest)
    // What is shown comes first, where the blocks are still there when it is the parents' turn.
    queue.divide(crew.workers, grows ? blocks.most : 0)
    if (grows) for (const leaf of this.#newestLeaves()) queue.prioritise(leaf)
    this.#tell()
    await this.#work(crew, blocks, queue)
  }

  *#newestLeaves(): Generator<ShardNode> {
    const { sources, tree } = this.#options
    const left = sources.map(({ series }) => (series.complete ? 0 : NEWEST_FRAMES))
    const { frames } = tree.placement
    for (let position = frames.length - 1; position >= 0; position--)
      if (left[frames[position].series]-- > 0) yield* tree.leavesOf(position)
  }

  /** Keep every worker busy until nothing is left, or something fails. */
  #work(crew: Crew, blocks: BlockPool, queue: ShardQueue): Promise<void> {
    const { signal, crews } = this.#options
    const busy = new Array<number>(crew.workers).fill(0)
    const underWay = new Set<ShardNode>()
    return new Promise((resolve, reject) => {
      let failed = false
      const fail = (error: unknown): void => {
        if (failed) return
        failed = true
        signal?.removeEventListener('abort', onAbort)
        // What is half made is of no use to anybody.
        crews.close().then(() => {
          for (const { name } of underWay) rmSync(temporaryPath(join(this.#options.directory, name)), { force: true })
          reject(error)
        }, reject)
      }
      const onAbort = (): void => fail(signal?.reason)
      const give = (worker: number, node: ShardNode): void => {
        busy[worker]++
        underWay.add(node)
        this.#make(crew, worker, node, blocks, queue)
          .finally(() => {
            busy[worker]--
            underWay.delete(node)
          })
          .then(pump, fail)
      }
      const pump = (): void => {
        if (failed) return
        // One task each first: a worker that waits is worse than one whose next task is not there yet.
        for (let depth = 1; depth <= crew.depth && !this.#isCutShort; depth++) {
          for (let worker = 0; worker < crew.workers; worker++) {
            const node = busy[worker] < depth ? queue.next(worker) : undefined
            if (node) give(worker, node)
          }
        }
        if (underWay.size > 0) return
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      signal?.addEventListener('abort', onAbort)
      if (signal?.aborted) onAbort()
      else pump()
    })
  }

  async #make(crew: Crew, worker: number, node: ShardNode, blocks: BlockPool, queue: ShardQueue): Promise<void> {
    const expected = node.level > 0 ? queue.expectedOfParent(node) : ''
    const positions = node.frames.filter(position => !this.#isSkipped(position))
    // Of what it held before.
    blocks.free(blocks.takeOf(this.#keyOfBlock(node)))
    const below = node.children.map(child => child && this.#borrowBlock(child, blocks))
    const block = node.parent && blocks.take()
    const task = node.level > 0 ? this.#parentTask(node, below, block) : this.#leafTask(node, positions, block)
    let isCommitted = false
    try {
      const made = await crew.make(worker, task)
      if (this.#options.signal?.aborted) return
      if (node.level === 0) isCommitted = this.#commitLeaf(node, made, positions, queue)
      // Else something below was made anew meanwhile.
      else if (queue.isWanted(node) && queue.expectedOfParent(node) === expected) {
        this.#commit(node, made, expected, {}, queue)
        isCommitted = true
      }
    } catch (error) {
      if (!(error instanceof WorkerLostError)) throw error
      this.#countLoss(node, error)
    } finally {
      for (const borrowed of below) {
        if (borrowed?.block && this.#options.grows) blocks.keepUsed(borrowed.key, borrowed.block)
        else blocks.free(borrowed?.block)
      }
      if (isCommitted) blocks.keep(this.#keyOfBlock(node), block)
      else blocks.free(block)
    }
    if (isCommitted) return
    rmSync(temporaryPath(task.path), { force: true })
    queue.giveBack(node)
  }

  /** @throws {SourceUnavailableError} workers ended on this shard as often as they may. */
  #countLoss(node: ShardNode, { isCulprit, message }: WorkerLostError): void {
    const tries = (this.#tries.get(node) ?? 0) + (isCulprit ? 1 : 0)
    this.#tries.set(node, tries)
    if (tries >= TRIES) {
      throw new SourceUnavailableError(
        `The worker that made the shard ${node.name} ended twice (${message}); less may run at a time with --workers, or more memory be used with --memory.`,
      )
    }
  }

  #borrowBlock(child: ShardNode, blocks: BlockPool): BorrowedBlock {
    const key = this.#keyOfBlock(child)
    return { key, block: blocks.takeOf(key) }
  }

  /** Of a shard that is there. */
  #keyOfBlock(node: ShardNode): string {
    return keyOfBlock(node.name, this.#journal.current(node)?.fingerprint ?? '')
  }

  #leafTask({ name, row, column }: ShardNode, positions: readonly number[], block: LeafTask['block']): LeafTask {
    const { frames } = this.#tree.placement
    return {
      kind: 'leaf',
      path: join(this.#options.directory, name),
      ...{ row, column },
      frames: positions.map((position): TaskFrame => {
        const { series, index, stamp, rect } = frames[position]
        return {
          ...{ series, index, stamp, x: rect.x0, y: rect.y0 },
          ...{ width: rect.x1 - rect.x0, height: rect.y1 - rect.y0 },
        }
      }),
      block,
      wantsThumbnail: this.#options.feed.listenerCount('shard') > 0,
    }
  }

  #parentTask(node: ShardNode, below: readonly (BorrowedBlock | undefined)[], block: ParentTask['block']): ParentTask {
    const { directory } = this.#options
    const { name, row, column, children, level } = node
    return {
      kind: 'parent',
      path: join(directory, name),
      ...{ row, column },
      rects: this.#tree.rectsIn(node, level - 1, position => this.#isSkipped(position)),
      children: children.map((child, i) => {
        if (!child || !this.#journal.current(child)?.bytes) return undefined
        return below[i]?.block ?? join(directory, child.name)
      }),
      block,
    }
  }

  /** @returns whether the shard is there now. */
  #commitLeaf(node: ShardNode, made: MadeShard, positions: readonly number[], queue: ShardQueue): boolean {
    const { frames } = this.#tree.placement
    const unread = new Map(made.skipped.map(({ position, error }) => [positions[position], error]))
    // Another shard could not read a frame that this one could: it is left out everywhere.
    if (positions.some(position => this.#isSkipped(position) && !unread.has(position))) return false
    const fresh = [...unread.keys()].filter(position => !this.#isSkipped(position))
    for (const [position, error] of unread) {
      const reason = unpackError(error)
      if (this.#options.strict) throw reason
      const isUnavailable = reason instanceof NotFoundError || reason instanceof SourceUnavailableError
      this.#options.skips.set(this.#frameName(position), { reason: reason.message, isUnavailable })
    }
    const shard = tileRegion(node, SHARD_SIZE)
    const used = positions.filter(position => !unread.has(position))
    const details = {
      covered: distinctRects(used.map(position => intersect(frames[position].rect, shard))),
      skipped: this.#skipsAmong(node.frames),
    }
    const overlaps: number[] = []
    for (let i = 0; i < made.overlaps.length; i += 5) {
      const [a, b, ...rest] = made.overlaps.slice(i, i + 5)
      const [first, second] = [frames[positions[a]], frames[positions[b]]]
      overlaps.push(first.series, first.index, second.series, second.index, ...rest)
    }
    const fingerprint = this.#tree.fingerprintOfLeaf(node, position => this.#isSkipped(position))
    this.#commit(node, made, fingerprint, { ...details, overlaps }, queue)
    for (const position of fresh)
      for (const leaf of this.#tree.leavesOf(position)) if (leaf !== node && queue.isCurrent(leaf)) queue.retry(leaf)
    this.#countDone([node])
    this.#tell()
    return true
  }

  /** Give the shard its name and enter it in the journal, in one go: whoever looks sees both or neither. */
  #commit(
    node: ShardNode,
    made: MadeShard,
    fingerprint: string,
    details: Pick<ShardEntry, 'covered' | 'skipped' | 'overlaps'>,
    queue: ShardQueue,
  ): void {
    const { selection, level, row, column } = node
    const path = join(this.#options.directory, node.name)
    try {
      if (made.bytes > 0) renameSync(temporaryPath(path), path)
      else rmSync(path, { force: true })
    } catch (error) {
      throw fromSystemError(error, path)
    }
    const entry: ShardEntry = {
      ...{ selection, level, row, column, fingerprint },
      ...{ bytes: made.bytes, crc32: made.crc32, clipped: made.clipped, histogram: made.histogram },
      ...details,
    }
    this.#journal.append(entry)
    queue.finish(node, fingerprint)
    this.#options.feed.emit('shard', entry, this.#thumbnailOf(made))
  }

  #thumbnailOf({ thumbnail }: MadeShard): Thumbnail | undefined {
    if (!thumbnail) return undefined
    const { samples, mask } = thumbnail
    return { samples: samplesFromBytes(this.#tree.placement.sampleType, new Uint8Array(samples)), mask }
  }

  /** What a shard's file holds, if it is whole. */
  #heldFingerprint(node: ShardNode): string | undefined {
    const known = this.#journal.current(node)
    if (!known) return undefined
    if (known.bytes === 0) return known.fingerprint
    const stats = statSync(join(this.#options.directory, node.name), { throwIfNoEntry: false })
    return stats?.isFile() && stats.size === known.bytes ? known.fingerprint : undefined
  }

  #job(): Omit<BuildJob, 'memory'> {
    const { directory, sources, settings } = this.#options
    const { sampleType, pedestal, geometry, darkLevels } = this.#tree.placement
    return {
      ...{ directory, sampleType, pedestal },
      tileSize: geometry.tileSize,
      blend: settings.blend,
      orientation: settings.orientation,
      dark: typeof settings.dark === 'object' ? settings.dark : undefined,
      gain: settings.gain,
      illumination: settings.illumination,
      series: sources.map(({ url, series, reader }, i) => ({
        ...{ url, reader },
        frameSize: series.frameSize,
        frameSizes: sizesOf(series),
        sampleType: series.sampleType,
        darkLevel: darkLevels[i],
      })),
    }
  }

  #frameName(position: number): string {
    const { series, index, stamp } = this.#tree.placement.frames[position]
    return `${series}/${index}/${stamp}`
  }

  #skipsAmong(positions: readonly number[]): SkippedFrame[] {
    return positions.flatMap(position => {
      const { series, index } = this.#tree.placement.frames[position]
      const skip = this.#skipOf(position)
      return skip ? [{ series, frame: index, ...skip }] : []
    })
  }

  #skipOf(position: number): Skip | undefined {
    return this.#options.skips.size > 0 ? this.#options.skips.get(this.#frameName(position)) : undefined
  }

  #isSkipped(position: number): boolean {
    return this.#skipOf(position) !== undefined
  }

  #countShown(): void {
    const { shown, tree } = this.#options
    if (shown.size === 0) return
    tree.placement.frames.forEach((frame, position) => {
      if (!shown.has(frameNumber(frame))) return
      this.#done[position] = 1
      this.#framesDone++
    })
  }

  #countDone(leaves: readonly ShardNode[]): void {
    const { grows, shown, tree } = this.#options
    for (const { frames } of leaves) {
      for (const position of frames) {
        if (this.#done[position] === 1) continue
        this.#done[position] = 1
        this.#framesDone++
        if (grows) shown.add(frameNumber(tree.placement.frames[position]))
      }
    }
  }

  #tell(): void {
    const { onProgress, feed, startedMs } = this.#options
    const framesTotal = this.#done.length
    const seconds = (performance.now() - startedMs) / 1000
    const rate = this.framesDone / seconds
    const secondsLeft = rate > 0 ? (framesTotal - this.#framesDone) / rate : undefined
    feed.emit('progress', { framesDone: this.#framesDone, framesTotal, secondsLeft })
    onProgress?.({
      framesDone: this.#framesDone,
      framesTotal,
      framesBefore: this.#framesBefore,
      bytesDone: this.bytesDone,
      seconds,
    })
  }
}

/** Of all frames of a build: no series numbers 2³² of them. */
function frameNumber({ series, index }: PlacedFrame): number {
  return series * 2 ** 32 + index
}

/** x0, y0, x1, y1, … of the rectangles, each once: repeated frames lie at one place. */
function distinctRects(rects: readonly Rect[]): number[] {
  const distinct = new Map(rects.map(({ x0, y0, x1, y1 }) => [`${x0} ${y0} ${x1} ${y1}`, [x0, y0, x1, y1]]))
  return [...distinct.values()].flat()
}

/** The different sizes of a series' frames. */
function sizesOf({ frames, frameSize }: FrameSeries): Size[] {
  const sizes = new Map(
    [frameSize, ...frames.flatMap(({ size }) => size ?? [])].map(size => [`${size.width} ${size.height}`, size]),
  )
  return [...sizes.values()]
}
