import type { Plane, Rect } from '../../src/plane.js'
import type { FrameSource } from '../../src/sources/frame-source.js'

/** A region of a mosaic and, for every pixel, how many frames saw it (below level 0: the most of its children). */
export interface NaiveMosaic {
  readonly width: number
  readonly height: number
  readonly values: Float64Array
  readonly seen: Uint8Array
}

function rounded(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

/** The feather mosaic of series with one dark level, pixel by pixel in float64 from its definition alone. */
export async function naiveMosaic(
  sources: readonly FrameSource[],
  originUm: { readonly x: number; readonly y: number },
  pixelSizeUm: { readonly x: number; readonly y: number },
  region: Rect,
): Promise<NaiveMosaic> {
  const width = region.x1 - region.x0
  const height = region.y1 - region.y0
  const sums = new Float64Array(width * height)
  const weights = new Float64Array(width * height)
  const seen = new Uint8Array(width * height)
  const weight = (i: number, n: number): number => {
    const r = Math.min(100, Math.floor(n / 4))
    return Math.min(1, (i + 1) / (r + 1), (n - i) / (r + 1))
  }
  for (const source of sources) {
    for (const { index, position } of source.series.frames) {
      const left = rounded((position.xUm - originUm.x) / pixelSizeUm.x) - region.x0
      const top = rounded((position.yUm - originUm.y) / pixelSizeUm.y) - region.y0
      const { width: w, height: h } = source.series.frameSize
      if (left >= width || top >= height || left + w <= 0 || top + h <= 0) continue
      const { samples } = await source.readFrame(index)
      for (let y = Math.max(0, -top); y < h && top + y < height; y++) {
        for (let x = Math.max(0, -left); x < w && left + x < width; x++) {
          const i = (top + y) * width + left + x
          const share = weight(x, w) * weight(y, h)
          sums[i] += share * samples[y * w + x]
          weights[i] += share
          seen[i]++
        }
      }
    }
  }
  return { width, height, seen, values: sums.map((sum, i) => (seen[i] ? rounded(sum / weights[i]) : 0)) }
}

/** Half the size: the mean of covered children, halves to even. */
export function naiveReduce({ width, height, values, seen }: NaiveMosaic): NaiveMosaic {
  const half = { width: width / 2, height: height / 2 }
  const out = {
    ...half,
    values: new Float64Array(half.width * half.height),
    seen: new Uint8Array(half.width * half.height),
  }
  for (let i = 0; i < out.values.length; i++) {
    const first = Math.floor(i / half.width) * 2 * width + (i % half.width) * 2
    const children = [first, first + 1, first + width, first + width + 1].filter(child => seen[child] > 0)
    if (children.length === 0) continue
    out.seen[i] = Math.max(...children.map(child => seen[child]))
    out.values[i] = rounded(children.reduce((sum, child) => sum + values[child], 0) / children.length)
  }
  return out
}

/**
 * PYME's pyramid from its definition: weighted float64 sums over tiles, threshold, float32 tiles, and upper levels from
 * the four children with missing ones as 0.
 *
 * @returns tiles `[row][column]` by `level,column,row`.
 */
export function naivePymeTiles(
  frames: readonly { readonly plane: Plane; readonly x: number; readonly y: number }[],
  dark: number,
  tileSize: number,
): Map<string, Float32Array> {
  const accumulators = new Map<string, { sum: Float64Array; weight: Float64Array }>()
  const ramp = (i: number, n: number, width: number): number => {
    const r = Math.min(100, Math.floor(0.25 * width))
    const up = i < r ? (i === r - 1 ? 1 : i * (1 / (r - 1))) : 1
    const k = i - (n - r)
    return up * (k >= 0 ? (k === r - 1 ? 0 : 1 + k * (-1 / (r - 1))) : 1)
  }
  for (const { plane, x: left, y: top } of frames) {
    const { width, height, samples } = plane
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [column, row] = [Math.floor((left + x) / tileSize), Math.floor((top + y) / tileSize)]
        const key = `0,${column},${row}`
        const tile = accumulators.get(key) ?? {
          sum: new Float64Array(tileSize ** 2),
          weight: new Float64Array(tileSize ** 2),
        }
        accumulators.set(key, tile)
        const i = (top + y - row * tileSize) * tileSize + left + x - column * tileSize
        const w = ramp(x, width, width) * ramp(y, height, width)
        tile.sum[i] += Math.fround(samples[y * width + x] - dark) * w
        tile.weight[i] += w
      }
    }
  }
  const tiles = new Map<string, Float64Array>()
  for (const [key, { sum, weight }] of accumulators) {
    tiles.set(
      key,
      sum.map((value, i) => (weight[i] + 1e-9 > 0.1 ? value / (weight[i] + 1e-9) : 0)),
    )
  }
  let level = [...tiles.keys()]
  for (let n = 1; level.length > 1 || n === 1; n++) {
    const parents = new Map<string, Float64Array>()
    for (const key of level) {
      const [, column, row] = key.split(',').map(Number)
      const name = `${n},${column >> 1},${row >> 1}`
      const parent = parents.get(name) ?? new Float64Array(tileSize ** 2)
      parents.set(name, parent)
      const child = tiles.get(key) as Float64Array
      const half = tileSize / 2
      for (let i = 0; i < half * half; i++) {
        const [x, y] = [i % half, Math.floor(i / half)]
        const a = 2 * y * tileSize + 2 * x
        // Axis 0 of PYME's arrays is x: its order of additions is (0,0), (1,0), (1,1), (0,1).
        const mean = (child[a] + child[a + 1] + child[a + tileSize + 1] + child[a + tileSize]) * 0.25
        parent[((row & 1) * half + y) * tileSize + (column & 1) * half + x] = mean
      }
    }
    for (const [name, parent] of parents) tiles.set(name, parent)
    level = [...parents.keys()]
  }
  return new Map([...tiles].map(([key, tile]) => [key, Float32Array.from(tile)]))
}
