import type { SampleType } from '../../src/plane.js'
import type { SampleTile } from '../tiles/tile-store.js'

/**
 * OpenLayers takes no 16-bit textures. Unsigned samples of 8 and 16 bits therefore travel as two bytes, low and high,
 * which the shader puts together again without loss; all other types as 32-bit floats.
 */
export type TexelKind = 'bytes' | 'floats'

export type Texels = Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>

/** Last band of a texel: what there is to see. As a texture it reads 0, 1 and about ½. */
const UNCOVERED = 0
const COVERED = 255
const FAILED = 128

const BANDS = { bytes: 4, floats: 2 } as const
/** Of one channel. */
export const TEXEL_BYTES = { bytes: 4, floats: 8 } as const

/** Around each tile its texture has room for the nearest samples of its neighbours, to interpolate with. */
export const RING = 1

export function texelKind(sampleType: SampleType): TexelKind {
  return sampleType === 'uint8' || sampleType === 'uint16' ? 'bytes' : 'floats'
}

export function bandCount(kind: TexelKind): number {
  return BANDS[kind]
}

/** Size of the texture of a tile of several channels, which lie one below the other. Texels. */
export function textureSize(tileSize: number, channels: number): [number, number] {
  const side = tileSize + 2 * RING
  return [side, channels * side]
}

/**
 * The texels of one tile: of each channel `[low, high, 0, state]` bytes or `[value, state]` floats, row-major, with a
 * ring around it. What was not put is uncovered.
 */
export class TileTexels {
  readonly texels: Texels
  readonly #tileSize: number
  readonly #side: number
  /** The same bytes, one number a texel; of floats undefined. */
  readonly #words: Uint32Array<ArrayBuffer> | undefined

  constructor(tileSize: number, channels: number, kind: TexelKind) {
    const [side, height] = textureSize(tileSize, channels)
    this.#tileSize = tileSize
    this.#side = side
    this.#words = kind === 'bytes' ? new Uint32Array(side * height) : undefined
    this.texels = this.#words ? new Uint8Array(this.#words.buffer) : new Float32Array(BANDS.floats * side * height)
  }

  /**
   * Put the samples of a tile, or those of a neighbour of which the ring has some. Samples that are not numbers count as
   * uncovered.
   *
   * @param place of the channel among those of the texture.
   * @param columns from the tile to the neighbour, −1 … 1. @param rows likewise.
   */
  put(tile: SampleTile, place: number, columns = 0, rows = 0): void {
    const size = this.#tileSize
    const side = this.#side
    const [startX, endX] = this.#range(columns)
    const [startY, endY] = this.#range(rows)
    for (let y = startY; y < endY; y++) {
      const from = (y - RING - rows * size) * size - RING - columns * size
      const to = (place * side + y) * side
      if (this.#words) this.#putWords(this.#words, tile, from, to, startX, endX)
      else this.#putFloats(this.texels, tile, from, to, startX, endX)
    }
  }

  /** Nothing can be read; the shader hatches it. */
  fail(): void {
    if (this.#words) this.#words.fill(FAILED << 24)
    else for (let i = 1; i < this.texels.length; i += BANDS.floats) this.texels[i] = FAILED / 255
  }

  /** Texels of the ring or of the tile itself, along x or y. */
  #range(tiles: number): [number, number] {
    if (tiles === 0) return [RING, RING + this.#tileSize]
    return tiles < 0 ? [0, RING] : [RING + this.#tileSize, this.#side]
  }

  #putWords(words: Uint32Array, { samples, mask }: SampleTile, from: number, to: number, start: number, end: number) {
    for (let x = start; x < end; x++) {
      const isCovered = mask?.[from + x] !== 0
      // Little endian as everywhere: the low byte of the sample comes first, the state last.
      words[to + x] = ((isCovered ? COVERED : UNCOVERED) << 24) | (samples[from + x] as number)
    }
  }

  #putFloats(texels: Texels, { samples, mask }: SampleTile, from: number, to: number, start: number, end: number) {
    for (let x = start; x < end; x++) {
      const value = samples[from + x] as number
      if (mask?.[from + x] === 0 || Number.isNaN(value)) continue
      texels[2 * (to + x)] = value
      texels[2 * (to + x) + 1] = 1
    }
  }
}
