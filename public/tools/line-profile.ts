import type { Slice } from '../picture/look.js'
import { pixelOfStage } from '../picture/stage-geometry.js'
import type { PointUm } from '../server/pyramid-api.js'
import type { TileContent, TileStore } from '../tiles/tile-store.js'
import { lengthUm } from './measurement-geometry.js'

const MAX_SAMPLES = 4096

/** Stored values along a line, at equal steps from end to end. */
export interface LineProfile {
  /** Of the pyramid: above 0, a value is a mean. */
  readonly level: number
  readonly lengthUm: number
  /** By channel: the sample that lies nearest to each step; NaN where no frame lies. */
  readonly values: ReadonlyMap<number, Float64Array>
}

/**
 * Read the samples under a line: those of level 0, or where it is longer than 4,096 samples, of the finest level where
 * it is not. Steps are at most a sample apart.
 *
 * @throws what `TileStore.load` throws.
 */
export async function readLineProfile(
  store: TileStore,
  slice: Slice,
  channels: readonly number[],
  [from, to]: readonly [PointUm, PointUm],
): Promise<LineProfile> {
  const { pyramid } = store
  const [start, end] = [pixelOfStage(pyramid, from), pixelOfStage(pyramid, to)]
  const samplesLong = Math.hypot(end.x - start.x, end.y - start.y)
  const level = Math.min(pyramid.levelCount - 1, Math.max(0, Math.ceil(Math.log2(samplesLong / (MAX_SAMPLES - 1)))))
  const steps = Math.min(MAX_SAMPLES, Math.max(2, Math.ceil(samplesLong / 2 ** level) + 1))
  const pixels = Array.from({ length: steps }, (_, i) => ({
    x: Math.floor((start.x + ((end.x - start.x) * i) / (steps - 1)) / 2 ** level),
    y: Math.floor((start.y + ((end.y - start.y) * i) / (steps - 1)) / 2 ** level),
  }))
  const read = async (channel: number): Promise<[number, Float64Array]> => [
    channel,
    await readPixels(store, { ...slice, channel }, level, pixels),
  ]
  return { level, lengthUm: lengthUm([from, to]), values: new Map(await Promise.all(channels.map(read))) }
}

/** Samples at pixels of a level. */
async function readPixels(
  store: TileStore,
  plane: Slice & { readonly channel: number },
  level: number,
  pixels: readonly PointUm[],
): Promise<Float64Array> {
  const { tileSize } = store.pyramid
  const tiles = new Map<string, Promise<TileContent>>()
  await store.prepare(plane)
  const load = (column: number, row: number): Promise<TileContent> => {
    const key = `${column},${row}`
    const tile = tiles.get(key) ?? store.load(plane, { level, column, row })
    tiles.set(key, tile)
    return tile
  }
  const values = pixels.map(async ({ x, y }) => {
    const [column, row] = [Math.floor(x / tileSize), Math.floor(y / tileSize)]
    const { tile } = await load(column, row)
    const index = (y - row * tileSize) * tileSize + (x - column * tileSize)
    return !tile || tile.mask?.[index] === 0 ? Number.NaN : (tile.samples[index] as number)
  })
  return Float64Array.from(await Promise.all(values))
}

/** A profile as a table: distance along the line, then the channels; nothing where no frame lies. */
export function profileCsv({ lengthUm: length, values }: LineProfile, names: readonly string[]): string {
  const columns = [...values]
  const steps = columns[0]?.[1].length ?? 0
  const heading = ['distance_um', ...columns.map(([channel]) => quoteField(names[channel] ?? `channel ${channel}`))]
  const rows = Array.from({ length: steps }, (_, i) => [
    (length * i) / (steps - 1),
    ...columns.map(([, samples]) => (Number.isNaN(samples[i]) ? '' : samples[i])),
  ])
  return [heading, ...rows].map(row => `${row.join()}\r\n`).join('')
}

/** A text as a field of a CSV table; one that a spreadsheet would take for a formula is kept from it. */
export function quoteField(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
