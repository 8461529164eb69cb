import { ByteStore } from './byte-store.js'
import { OpenShards } from './open-shards.js'

/** Files kept open. Programs may have 1024 by default, and connections count as well. */
const MAX_OPEN_SHARDS = 512

/** Of an open shard, mostly its index: 16 bytes for each of up to 256 tiles. */
const OPEN_SHARD_BYTES = 5 * 2 ** 10

/** For programs that read a pyramid and end. */
const DEFAULT_BYTES = 64 * 2 ** 20

/** The memory and the open files that all open pyramids have together, however many they are. */
export class ReadMemory {
  readonly shards: OpenShards
  readonly store: ByteStore
  /** Real paths of the folders that all files must lie in, after links are followed; with none, they may lie anywhere. */
  readonly roots: readonly string[]

  /** @param maxBytes the bound on everything that is kept, open shards included; 0 keeps nothing else. */
  constructor(maxBytes = DEFAULT_BYTES, roots: readonly string[] = []) {
    this.roots = roots
    this.shards = new OpenShards(MAX_OPEN_SHARDS, roots)
    this.store = new ByteStore(Math.max(0, maxBytes - MAX_OPEN_SHARDS * OPEN_SHARD_BYTES))
  }
}
