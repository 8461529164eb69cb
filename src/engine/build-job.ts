import type { PackedError } from '../packed-error.js'
import type { Plane, SampleType, Size } from '../plane.js'
import type { Blend } from '../pyramid/blend.js'
import type { ImageOrientation } from '../pyramid/build-settings.js'
import type { Histogram } from '../pyramid/histogram.js'
import type { FrameReaderDescription } from '../sources/frame-source.js'

/** What a worker knows from its start on; everything in it can be cloned to another thread. */
export interface BuildJob {
  /** The pyramid's folder. */
  readonly directory: string
  readonly sampleType: SampleType
  /** Stored value of "dark". */
  readonly pedestal: number
  readonly tileSize: number
  readonly blend: Blend
  readonly orientation: ImageOrientation
  /** Correction images, as the camera has its frames. */
  readonly dark: Plane | undefined
  readonly gain: Plane | undefined
  readonly illumination: Plane | undefined
  readonly series: readonly JobSeries[]
  readonly memory: WorkerMemory
}

export interface JobSeries {
  readonly url: string
  /** The largest, as the camera has it, before `orientation`. */
  readonly frameSize: Size
  /** All that there are. */
  readonly frameSizes: readonly Size[]
  readonly sampleType: SampleType
  /** Counts; not used where `dark` is an image. */
  readonly darkLevel: number
  /** How a worker opens the frames; undefined where they are read on the main thread. */
  readonly reader: FrameReaderDescription | undefined
}

/** How one worker uses its share of the memory. */
export interface WorkerMemory {
  /** Decoded frames that are kept. */
  readonly slots: number
  readonly slotBytes: number
  /** Room for a frame's file as it is stored, bytes, and for how many of them at once. */
  readonly fileBytes: number
  readonly files: number
  /** All of the kernels' memory. */
  readonly arenaBytes: number
}

/** A frame as a task names it. */
export interface TaskFrame {
  readonly series: number
  readonly index: number
  /** Tells the frame's bytes from what lay under the same name before. */
  readonly stamp: string
  /** Where its first pixel lies, level-0 px. */
  readonly x: number
  readonly y: number
  /** As it lies in the mosaic, px. */
  readonly width: number
  readonly height: number
}

/** Make a shard of level 0 from frames. */
export interface LeafTask {
  readonly kind: 'leaf'
  /** The shard's file; it is written beside it, under `temporaryPath`. */
  readonly path: string
  readonly row: number
  readonly column: number
  /** Those that touch it, in series order. */
  readonly frames: readonly TaskFrame[]
  /** Where the shard goes, reduced to half its edge, for its parent. */
  readonly block: SharedArrayBuffer | undefined
  readonly wantsThumbnail: boolean
}

/** Make a shard from the four below it. */
export interface ParentTask {
  readonly kind: 'parent'
  readonly path: string
  readonly row: number
  readonly column: number
  /** x0, y0, x1, y1 of every frame that lies in it, px of the level below. */
  readonly rects: Int32Array
  /** Row by row: the child's samples reduced to half its edge, the path of its file, or nothing where it is not covered. */
  readonly children: readonly (SharedArrayBuffer | string | undefined)[]
  readonly block: SharedArrayBuffer | undefined
}

export type ShardTask = LeafTask | ParentTask

/** A shard whose file lies under its temporary name. */
export interface MadeShard {
  /** 0 where none of its frames could be read: then there is no file. */
  readonly bytes: number
  /** Of the file, as `checksumOfShard`. */
  readonly crc32: string
  readonly clipped: number
  readonly histogram: Histogram
  /** Positions in the task's `frames`, and why they could not be read. */
  readonly skipped: readonly { readonly position: number; readonly error: PackedError }[]
  /** Of overlapping frames: position, position, pixels compared, mean of the first, mean of the second, counts as the camera has them. */
  readonly overlaps: readonly number[]
  /** The samples reduced to an eighth of the shard's edge. */
  readonly thumbnail: { readonly samples: ArrayBuffer; readonly mask: Uint8Array | undefined } | undefined
}

/** Where a shard's file is written before it gets its name. One builder at a time writes to a folder. */
export function temporaryPath(path: string): string {
  return `${path}.tmp`
}
