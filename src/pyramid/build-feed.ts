import type { EventEmitter } from 'node:events'
import type { SampleArray } from '../plane.js'
import type { TileAddress } from './mosaic-geometry.js'
import type { MosaicSelection } from './pyramid.js'
import type { ShardEntry } from './shard-entry.js'

/** A level-0 shard reduced to level `THUMBNAIL_LEVEL`: a square of `THUMBNAIL_EDGE` px, row-major. */
export interface Thumbnail {
  readonly samples: SampleArray
  /** One byte a sample, 1 = covered; undefined where all are. */
  readonly mask: Uint8Array | undefined
}

export const THUMBNAIL_LEVEL = 3
export const THUMBNAIL_EDGE = 256

/** How far a build is. */
export interface FeedProgress {
  readonly framesDone: number
  readonly framesTotal: number
  /** Undefined while nobody can tell. */
  readonly secondsLeft: number | undefined
}

/** What a build in this process tells whoever shows the pyramid meanwhile. */
export interface BuildFeedEvents {
  /** A shard's entry was appended to the journal; level-0 shards may come with their thumbnail. */
  readonly shard: [entry: ShardEntry, thumbnail: Thumbnail | undefined]
  readonly progress: [progress: FeedProgress]
  /** The root says `complete: true` now, and the pyramid lies in `directory`: where it was built, or the name it took. */
  readonly finished: [directory: string]
}

/** A build in this process, as `RunningServer.attach` takes it. */
export interface BuildFeed extends EventEmitter<BuildFeedEvents> {
  /** The folder that is written into; its plan is there. */
  readonly directory: string
  /** Somebody looks at a tile of which nothing is built: its shards come next. */
  prioritise(selection: MosaicSelection, address: TileAddress): void
}
