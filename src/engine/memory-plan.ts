import { UsageError } from '../errors.js'
import { SAMPLE_TYPES } from '../plane.js'
import { SHARD_SIZE } from '../pyramid/mosaic-geometry.js'
import type { BuildJob, JobSeries, WorkerMemory } from './build-job.js'
import { makerBytes } from './shard-maker.js'

export const DEFAULT_MEMORY_BYTES = 512 * 2 ** 20
export const LEAST_MEMORY_BYTES = 300 * 2 ** 20

/** Node and this program with its plan, as measured, bytes. */
const MAIN_BYTES = 125 * 2 ** 20
/** What a planned frame takes on the main thread: its entry in the series, its place, its row of the table, bytes. */
const FRAME_BYTES = 500
/** A worker thread before it has read a frame: its engine, code and what waits for the garbage collector. */
const THREAD_BYTES = 36 * 2 ** 20
/** Share of the memory that is planned with; the rest is for what the allocators of several threads leave unused. */
const PLANNED_SHARE = 0.9
/**
 * Reduced blocks of a worker that wait for their parents: up to three of each level of a plate, or, where memory is
 * short, fewer. Those that are given up are read back.
 */
const WAITING_BLOCKS = [24, 8, 4]
/** Frames on each side of what a shard needs, for its neighbours. */
const KEPT_SHARDS = 2
/** Files that are decoded side by side: more of them end together, and fewer wait for the last. */
const MOST_FILES = 8
const FILES_BYTES = 8 * 2 ** 20
/** A PZF file that Huffman codes made longer than its samples, its header and code table included. */
const PZF_OVERHEAD = 2 ** 16

export interface MemoryPlan {
  readonly workers: number
  readonly worker: WorkerMemory
  /** Bound on reduced blocks that wait for their parents, bytes. */
  readonly blockBytes: number
}

/**
 * Share the memory out: every worker gets room for the frames of a shard and its neighbours, less where there is less;
 * with little memory and large frames fewer workers run.
 *
 * @param frames planned altogether. @param deepest most frames that one shard needs.
 * @throws {UsageError} less than the least that a build of such frames needs.
 */
export function planMemory(
  job: Omit<BuildJob, 'memory'>,
  memoryBytes: number,
  workers: number,
  frames: number,
  deepest: number,
): MemoryPlan {
  const slotBytes = align(Math.max(...job.series.map(bytesOf)))
  const fileBytes = align(Math.max(...job.series.map(fileBytesOf)))
  const { bytes } = SAMPLE_TYPES[job.sampleType]
  const files = Math.min(MOST_FILES, Math.max(2, Math.floor(FILES_BYTES / Math.max(1, fileBytes))))
  const held = Math.max(...job.series.map(({ reader }) => reader?.heldBytes ?? 0))
  const fixed = THREAD_BYTES + held + makerBytes(job) + files * fileBytes
  const left = PLANNED_SHARE * memoryBytes - MAIN_BYTES - frames * FRAME_BYTES
  const block = (SHARD_SIZE / 2) ** 2 * bytes
  const regular = Math.max(...job.series.map(framesOfShards))
  const wanted = Math.max(deepest, regular)
  // All of a shard's at once, unless they are a pile: fewer are read again and again. Where neighbours' are not kept
  // as well, two workers take as long as one.
  const enough = Math.min(deepest, regular)
  const fewest = Math.min(...WAITING_BLOCKS)
  for (let count = workers; count >= 1; count--) {
    for (const blocks of WAITING_BLOCKS) {
      const slots = Math.min(wanted, Math.floor((left / count - fixed - blocks * block) / slotBytes))
      const least = count > 1 ? regular : blocks > fewest ? enough : 1
      if (slots < least) continue
      const arenaBytes = slots * slotBytes + files * fileBytes + makerBytes(job)
      return {
        workers: count,
        worker: { slots, slotBytes, files, fileBytes, arenaBytes },
        blockBytes: count * blocks * block,
      }
    }
  }
  const short = fixed + fewest * block + slotBytes - left
  throw new UsageError(
    `--memory is too little for frames of this size; ${Math.ceil((memoryBytes + short / PLANNED_SHARE) / 2 ** 20)}MiB would do.`,
  )
}

function bytesOf({ frameSize, sampleType }: JobSeries): number {
  return frameSize.width * frameSize.height * SAMPLE_TYPES[sampleType].bytes
}

function fileBytesOf(series: JobSeries): number {
  return series.reader ? bytesOf(series) + bytesOf(series) / 8 + PZF_OVERHEAD : 0
}

/** Frames of a shard and of as many neighbours as are worth keeping, were they laid side by side. */
function framesOfShards({ frameSize }: JobSeries): number {
  const across = (edge: number): number => Math.ceil(SHARD_SIZE / edge) + 1
  return KEPT_SHARDS * across(frameSize.width) * across(frameSize.height)
}

/** Whole steps of 16 bytes, so that every array begins at one. */
function align(bytes: number): number {
  return Math.ceil(bytes / 16) * 16
}
