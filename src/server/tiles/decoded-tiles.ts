import { bytesOfSamples, samplesFromBytes } from '../../plane.js'
import type { ByteStore } from '../../pyramid/byte-store.js'
import type { TileAddress } from '../../pyramid/mosaic-geometry.js'
import type { CoveredTile, MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'
import { readCoveredTile, tileVersionOf } from '../../pyramid/read-covered-tile.js'
import { WorkBudget } from '../work-budget.js'
import { SharedWork } from './shared-work.js'

/** More reads than this at once would only wait for the disk, with memory in their hands. */
const READS_AT_ONCE = 16

/** A tile whose samples and mask lie one behind the other. */
export interface DecodedTile extends CoveredTile {
  /** The samples, little endian, and behind them the mask where the tile is partly covered. */
  readonly bytes: Buffer
}

/**
 * Samples of tiles: what is shown in several styles, or asked for as numbers, is read and decoded once.
 *
 * What is handed out is kept and shared, so nobody may write to it.
 */
export class DecodedTiles {
  readonly #store: ByteStore
  readonly #work = new SharedWork<DecodedTile | undefined>()
  readonly #budget = new WorkBudget(READS_AT_ONCE, 1)

  /** @param store has the bound in bytes, and may keep other things as well. */
  constructor(store: ByteStore) {
    this.#store = store
  }

  /** How many tiles are being read or wait for it. */
  get pending(): number {
    return this.#work.size
  }

  /**
   * Read one tile.
   *
   * @param signal this caller's; the reading goes on while others wait.
   * @returns undefined where nothing is covered, or where the pyramid grows and nothing of the tile is built yet.
   * @throws as `Pyramid.readTile`, or the signal's reason.
   */
  async read(
    pyramid: Pyramid,
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal,
  ): Promise<DecodedTile | undefined> {
    const version = tileVersionOf(pyramid, selection, address)
    const { channel, zPlane, timePoint } = selection
    const { level, column, row } = address
    const key = `samples ${pyramid.id}.${version}/${channel}.${zPlane}.${timePoint}/${level}.${column}.${row}`
    const kept = this.#store.get<DecodedTile>(key)
    if (kept) return kept
    if (!pyramid.coverage(selection).hasTile(address)) return undefined
    return this.#work.share(
      key,
      async unwanted => {
        const read = await this.#budget.run(1, unwanted, () => readCoveredTile(pyramid, selection, address, unwanted))
        const tile = read && pack(read)
        // More may have been built while it was read: then the key does not name these samples.
        if (tile && tileVersionOf(pyramid, selection, address) === version)
          this.#store.set(key, tile, tile.bytes.byteLength)
        return tile
      },
      signal,
    )
  }

  /**
   * A tile as it is stored, a Blosc frame. It is not kept: the system's file cache has it, and nothing is worked out.
   *
   * @returns undefined where the pyramid stores its tiles otherwise.
   * @throws as `Pyramid.readTile`, or the signal's reason.
   */
  async readFrame(
    pyramid: Pyramid,
    selection: MosaicSelection,
    address: TileAddress,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const frame = await this.#budget.run(1, signal, async () => pyramid.readFrame?.(selection, address, { signal }))
    return frame && Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  }
}

function pack({ plane, mask }: CoveredTile): DecodedTile {
  const samples = bytesOfSamples(plane.samples)
  if (!mask) return { plane, mask, bytes: Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength) }
  const bytes = Buffer.allocUnsafeSlow(samples.length + mask.length)
  bytes.set(samples)
  bytes.set(mask, samples.length)
  return {
    plane: { ...plane, samples: samplesFromBytes(plane.sampleType, bytes.subarray(0, samples.length)) },
    mask: bytes.subarray(samples.length),
    bytes,
  }
}
