import { LRUCache } from 'lru-cache'
import { TilestageError, UnsupportedDataError } from '../errors.js'
import type { Plane } from '../plane.js'
import type { FrameSource } from '../sources/frame-source.js'
import { mapConcurrently } from '../sources/map-concurrently.js'
import type { PlacedPlane } from './blend.js'
import type { BuildSettings } from './build-settings.js'
import { orientPlane } from './orient-plane.js'
import type { Placement } from './placement.js'

/** Decoded frames kept for the neighbouring shards, bytes. */
const CACHE_BYTES = 256 * 2 ** 20

/** Frames read at the same time. */
const CONCURRENT_READS = 4

/**
 * Reads the frames of a placement, oriented and with their corrections, and remembers those that cannot be read.
 * A frame that touches several shards is decoded once while the cache holds it.
 */
export class FrameLoader {
  /** Why frames were left out, by their position in `placement.frames`. */
  readonly skipped = new Map<number, string>()
  /** Frames read at least once. */
  readonly read = new Set<number>()
  /** Decoded samples of those, bytes. */
  bytesRead = 0
  /** Called after every frame that was read or skipped. */
  onFrame: () => void = () => undefined
  readonly #sources: readonly FrameSource[]
  readonly #placement: Placement
  readonly #settings: BuildSettings
  readonly #strict: boolean
  readonly #cache = new LRUCache<number, PlacedPlane>({
    maxSize: CACHE_BYTES,
    sizeCalculation: ({ plane }) => plane.samples.byteLength,
  })
  readonly #dark: Float64Array | undefined
  readonly #gain: Float64Array | undefined

  /** @param strict throw for a frame that cannot be read instead of skipping it. */
  constructor(sources: readonly FrameSource[], placement: Placement, settings: BuildSettings, strict: boolean) {
    this.#sources = sources
    this.#placement = placement
    this.#settings = settings
    this.#strict = strict
    this.#dark =
      typeof settings.dark === 'object' ? Float64Array.from(this.#correction('--dark', settings.dark)) : undefined
    this.#gain = this.#combineGain()
  }

  /**
   * @param positions in `placement.frames`, ascending.
   * @returns those that can be read, in the same order; the others are in `skipped`.
   * @throws {TilestageError} under `strict`, and where a frame that was used before cannot be read any more.
   */
  async load(positions: readonly number[], signal: AbortSignal | undefined): Promise<PlacedPlane[]> {
    const planes = await mapConcurrently(positions, CONCURRENT_READS, position => this.#loadOne(position, signal))
    return planes.filter(plane => plane !== undefined)
  }

  async #loadOne(position: number, signal: AbortSignal | undefined): Promise<PlacedPlane | undefined> {
    if (this.skipped.has(position)) return undefined
    const cached = this.#cache.get(position)
    if (cached) return cached
    signal?.throwIfAborted()
    const frame = this.#placement.frames[position]
    const source = this.#sources[frame.series]
    try {
      const plane = await source.readFrame(frame.index, { signal })
      const placed = {
        plane: orientPlane(plane, this.#settings.orientation),
        x: frame.rect.x0,
        y: frame.rect.y0,
        dark: this.#dark ?? this.#placement.darkLevels[frame.series],
        gain: this.#gain,
      }
      this.#cache.set(position, placed)
      if (!this.read.has(position)) {
        this.read.add(position)
        this.bytesRead += plane.samples.byteLength
        this.onFrame()
      }
      return placed
    } catch (error) {
      // A frame that is part of a finished shard cannot be left out of the next one.
      if (!(error instanceof TilestageError) || this.#strict || this.read.has(position)) throw error
      this.skipped.set(position, error.message)
      this.onFrame()
      return undefined
    }
  }

  #combineGain(): Float64Array | undefined {
    const { gain, illumination } = this.#settings
    if (!gain && !illumination) return undefined
    const factors = gain && this.#correction('--gain', gain)
    const divisors = illumination && this.#correction('--illumination', illumination)
    const length = (factors ?? divisors)?.length ?? 0
    return Float64Array.from({ length }, (_, i) => (factors ? factors[i] : 1) / (divisors ? divisors[i] : 1))
  }

  /** A correction plane, checked against the frames and turned as they are. */
  #correction(flag: string, plane: Plane): Plane['samples'] {
    for (const { series, url } of this.#sources) {
      const { width, height } = series.frameSize
      if (plane.width === width && plane.height === height) continue
      throw new UnsupportedDataError(
        `The ${flag} image has ${plane.width} × ${plane.height} px where the frames of ${url} have ${width} × ${height}.`,
        { url },
      )
    }
    return orientPlane(plane, this.#settings.orientation).samples
  }
}
