import { LimitExceededError } from '../errors.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { type Region, readRegion } from '../pyramid/read-region.js'
import { ComponentFinder } from './component-finder.js'
import { type Detected, type DetectionProgress, type DetectionSettings, type Found, MAX_FOUND } from './detection.js'
import { otsuThreshold } from './otsu.js'
import { cutSearchBlocks, type SearchBlock } from './search-blocks.js'
import { type Spot, SpotFinder } from './spot-finder.js'
import { thinOut } from './thin-out.js'

/** Searched at once, px; a few megabytes. */
const BLOCK_EDGE = 1024

/** The automatic threshold of spots lies so many standard deviations of the background's response above its middle. */
const NOISE_FACTOR = 6
/** The standard deviation of normal noise, by its median absolute deviation. */
const SIGMA_OF_MAD = 1.4826
/** Blocks that noise is learnt from, spread over all that there are; their edge, and every which place of a row. */
const NOISE_BLOCKS = 16
const NOISE_EDGE = 256
const NOISE_STEP = 3

/** Candidates that are kept until those too close to each other are thinned out. */
const MAX_CANDIDATES = 4 * MAX_FOUND

/**
 * Look for objects in a pyramid. Memory is bounded by a block, and a line of the level.
 *
 * @param onProgress called after each block.
 * @returns objects from the top left, row by row.
 * @throws {LimitExceededError} there are too many, so the threshold is too low. @throws as `Pyramid.readTile`.
 */
export async function detect(
  pyramid: Pyramid,
  settings: DetectionSettings,
  onProgress: (progress: DetectionProgress) => void,
): Promise<Detected> {
  const blocks = cutBlocks(pyramid, settings, BLOCK_EDGE)
  const search = settings.detector === 'threshold' ? findComponents : findSpots
  const progress = new Progress(blocks, onProgress)
  const { found, threshold } = await search(pyramid, settings, blocks, progress)
  found.sort((a, b) => a.y - b.y || a.x - b.x)
  return { locationsUm: toStage(found, pyramid, settings.level), threshold }
}

function cutBlocks(pyramid: Pyramid, { selection, level, region }: DetectionSettings, edge: number): SearchBlock[] {
  return cutSearchBlocks(pyramid.geometry, level, pyramid.coverage(selection).tileRuns(level), region, edge)
}

interface SearchResult {
  readonly found: Found[]
  /** Counts. */
  readonly threshold: number
}

async function findComponents(
  pyramid: Pyramid,
  settings: DetectionSettings,
  blocks: readonly SearchBlock[],
  progress: Progress,
): Promise<SearchResult> {
  const { selection, level, region, sizeUm } = settings
  const threshold = settings.threshold ?? otsuThreshold(await pyramid.histogram(selection.channel)) - pyramid.pedestal
  const [pxX, pxY] = pixelAt(pyramid, level)
  const found: Found[] = []
  const finder = new ComponentFinder(region, threshold + pyramid.pedestal, ({ pixels, x, y }) => {
    const diameterUm = 2 * Math.sqrt((pixels * pxX * pxY) / Math.PI)
    if (diameterUm < sizeUm.min || diameterUm > sizeUm.max) return
    if (found.length === MAX_FOUND) throw tooMany(threshold)
    found.push({ x, y })
  })
  for (const block of blocks) {
    finder.add(block.rect, await readRegion(pyramid, selection, level, block.rect))
    progress.add(block, found.length)
  }
  finder.finish()
  return { found, threshold }
}

async function findSpots(
  pyramid: Pyramid,
  settings: DetectionSettings,
  blocks: readonly SearchBlock[],
  progress: Progress,
): Promise<SearchResult> {
  const { selection, level, sizeUm } = settings
  const [pxX, pxY] = pixelAt(pyramid, level)
  const finder = new SpotFinder({
    x: { min: sizeUm.min / pxX, max: sizeUm.max / pxX },
    y: { min: sizeUm.min / pxY, max: sizeUm.max / pxY },
  })
  const read = ({ rect: { x0, y0, x1, y1 } }: SearchBlock): Promise<Region> => {
    const around = { x0: x0 - finder.margin, y0: y0 - finder.margin, x1: x1 + finder.margin, y1: y1 + finder.margin }
    return readRegion(pyramid, selection, level, around)
  }
  const threshold = settings.threshold ?? (await learnNoise(finder, cutBlocks(pyramid, settings, NOISE_EDGE), read))
  const spots: Spot[] = []
  for (const block of blocks) {
    for (const spot of finder.find(await read(block), block.rect, threshold)) {
      if (spots.push(spot) > MAX_CANDIDATES) throw tooMany(threshold)
    }
    progress.add(block, spots.length)
  }
  const found = thinOut(spots)
  if (found.length > MAX_FOUND) throw tooMany(threshold)
  return { found, threshold }
}

/** A threshold that noise alone hardly ever exceeds: what most places answer, and how much that varies. */
async function learnNoise(
  finder: SpotFinder,
  blocks: readonly SearchBlock[],
  read: (block: SearchBlock) => Promise<Region>,
): Promise<number> {
  const every = Math.max(1, Math.ceil(blocks.length / NOISE_BLOCKS))
  const chosen = blocks.filter((_, i) => i % every === Math.floor(every / 2) % every)
  const learnt: number[] = []
  for (const block of chosen) {
    for (const response of finder.sampleResponses(await read(block), NOISE_STEP)) learnt.push(response)
  }
  if (learnt.length === 0) return 0
  const middle = medianOf(learnt)
  return middle + NOISE_FACTOR * SIGMA_OF_MAD * medianOf(learnt.map(value => Math.abs(value - middle)))
}

function medianOf(values: readonly number[]): number {
  return Float64Array.from(values).sort()[values.length >> 1]
}

/** Edges of a pixel of a level, µm. */
function pixelAt({ geometry: { pixelSizeUm } }: Pyramid, level: number): [x: number, y: number] {
  return [pixelSizeUm.x * 2 ** level, pixelSizeUm.y * 2 ** level]
}

function toStage(found: readonly Found[], { geometry }: Pyramid, level: number): Float64Array {
  const { originUm, pixelSizeUm } = geometry
  const scale = 2 ** level
  // The origin is the centre of the first pixel of level 0; that of a coarser level lies in the middle of several.
  const levelZero = (px: number): number => (px + 0.5) * scale - 0.5
  const locations = new Float64Array(2 * found.length)
  found.forEach(({ x, y }, i) => {
    locations[2 * i] = originUm.x + levelZero(x) * pixelSizeUm.x
    locations[2 * i + 1] = originUm.y + levelZero(y) * pixelSizeUm.y
  })
  return locations
}

function tooMany(threshold: number): LimitExceededError {
  const counts = Number(threshold.toPrecision(4))
  return new LimitExceededError(
    `More than ${MAX_FOUND} objects are above the threshold of ${counts} counts; choose a higher one, or larger objects.`,
  )
}

class Progress {
  readonly #total: number
  readonly #tell: (progress: DetectionProgress) => void
  #done = 0

  constructor(blocks: readonly SearchBlock[], tell: (progress: DetectionProgress) => void) {
    this.#total = blocks.reduce((sum, { tiles }) => sum + tiles, 0)
    this.#tell = tell
    this.#report(0)
  }

  add({ tiles }: SearchBlock, found: number): void {
    this.#done += tiles
    this.#report(found)
  }

  #report(found: number): void {
    this.#tell({ tilesDone: this.#done, tilesTotal: this.#total, found })
  }
}
