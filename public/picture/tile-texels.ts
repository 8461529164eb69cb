import type { SampleType } from '../../src/plane.js'
import type { SampleTile } from '../tiles/tile-store.js'

/**
 * OpenLayers takes no 16-bit textures. Unsigned samples of 8 and 16 bits therefore travel as two bytes, low and high,
 * which the shader puts together again without loss; all other types as 32-bit floats.
 */
export type TexelKind = 'bytes' | 'floats'

/** Last band of a texel: what there is to see. As a texture it reads 0, 1 and about ½. */
const UNCOVERED = 0
const COVERED = 255
const FAILED = 128

const BANDS = { bytes: 4, floats: 2 } as const

export function texelKind(sampleType: SampleType): TexelKind {
  return sampleType === 'uint8' || sampleType === 'uint16' ? 'bytes' : 'floats'
}

export function bandCount(kind: TexelKind): number {
  return BANDS[kind]
}

/**
 * Texels of one tile: `[low, high, 0, state]` bytes or `[value, state]` floats, row-major. Samples that are not numbers
 * count as uncovered.
 */
export function packTile({ samples, mask }: SampleTile, kind: TexelKind): Uint8Array | Float32Array {
  const count = samples.length
  if (kind === 'bytes') {
    const words = new Uint32Array(count)
    // Little endian as everywhere: the low byte of the sample comes first, the state last.
    for (let i = 0; i < count; i++) {
      words[i] = ((mask && !mask[i] ? UNCOVERED : COVERED) << 24) | (samples[i] as number)
    }
    return new Uint8Array(words.buffer)
  }
  const texels = new Float32Array(2 * count)
  for (let i = 0; i < count; i++) {
    const value = samples[i] as number
    if ((mask && !mask[i]) || Number.isNaN(value)) continue
    texels[2 * i] = value
    texels[2 * i + 1] = 1
  }
  return texels
}

/** Texels of a tile that has nothing to show. */
export function emptyTexels(tileSize: number, kind: TexelKind): Uint8Array | Float32Array {
  const length = BANDS[kind] * tileSize * tileSize
  return kind === 'bytes' ? new Uint8Array(length) : new Float32Array(length)
}

/** Texels of a tile that could not be read; the shader hatches them. */
export function failedTexels(tileSize: number, kind: TexelKind): Uint8Array | Float32Array {
  const count = tileSize * tileSize
  if (kind === 'bytes') return new Uint8Array(new Uint32Array(count).fill(FAILED << 24).buffer)
  const texels = new Float32Array(2 * count)
  for (let i = 0; i < count; i++) texels[2 * i + 1] = FAILED / 255
  return texels
}
