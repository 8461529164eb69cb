import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { brightness, type Contrast, colourStep } from '../../public/contrast/contrast.js'
import type { ContrastState } from '../../public/contrast/contrast-state.js'
import type { Look } from '../../public/picture/look.js'
import type { Rect } from '../../src/plane.js'
import type { MosaicSelection, Pyramid } from '../../src/pyramid/pyramid.js'
import { coloursOf } from '../../src/render/colour-maps.js'
import { type OpenPage, readScreen, type Screen, untilReady } from './browser.js'

const BELOW = [0x2f, 0x6b, 0xff]
const ABOVE = [0xff, 0x3b, 0x30]
export const PICTURE_TOP = 44
/** The picture on a `SHARP` page, and a part of it that nothing floats over. */
export const PICTURE = { width: 722, height: 524 }
export const FREE = { x0: 60, y0: 110, x1: 550, y1: 390 }
export const EVERY_ROWS = 3
export const VOID = [0x1c, 0x1e, 0x21]
export const EDGE = [0x6f, 0x76, 0x80]
/**
 * Screen pixels whose centre is this near to a border between samples, in samples, may fall on either side: graphics
 * hardware places the corners of a tile to a sixteenth of a screen pixel.
 */
const BORDER = 0.1

/** What the page lets tests see and do. */
export interface Exposed {
  readonly tilestage: {
    readonly view: ViewOfPicture
    readonly contrast: {
      readonly state: ContrastState
      readonly look: Look
      restore(state: ContrastState): void
      solo(channel: number): void
    }
    setLook(look: unknown): void
  }
}

/** What is seen: level-0 pixels of the picture's corners, and the level that is drawn. */
export interface ViewOfPicture extends Rect {
  readonly umPerPx: number
  readonly level: number
}

/** Of brightness 0 … 1: a tenth of a step. */
const STEP_PRECISION = 0.1 / 255

export const FIRST_PLANE = { channel: 0, zPlane: 0, timePoint: 0 }

export type Sampler = (x: number, y: number) => number | undefined

/**
 * Samples of a level as the pyramid holds them, read without the server; `undefined` where no frame lies.
 *
 * @param area in pixels of the level; what lies outside is unknown.
 */
export async function readSamples(
  pyramid: Pyramid,
  level: number,
  area: Rect,
  plane: MosaicSelection = FIRST_PLANE,
): Promise<Sampler> {
  const coverage = pyramid.coverage(plane)
  const { tileSize } = pyramid.geometry
  const tileOf = (pixel: number): number => Math.floor(pixel / tileSize)
  const tiles = new Map<string, { samples: ArrayLike<number>; mask: Uint8Array | undefined }>()
  for (let row = tileOf(area.y0); row <= tileOf(area.y1); row++) {
    for (let column = tileOf(area.x0); column <= tileOf(area.x1); column++) {
      const address = { level, column, row }
      const tile = row >= 0 && column >= 0 && coverage.hasTile(address) && (await pyramid.readTile(plane, address))
      if (tile) tiles.set(`${column},${row}`, { samples: tile.samples, mask: coverage.tileMask(address) })
    }
  }
  return (x, y) => {
    const tile = tiles.get(`${tileOf(x)},${tileOf(y)}`)
    const index = (y - tileOf(y) * tileSize) * tileSize + (x - tileOf(x) * tileSize)
    const value = tile && tile.mask?.[index] !== 0 ? tile.samples[index] : undefined
    return Number.isNaN(value) ? undefined : value
  }
}

export async function viewOf(page: Page): Promise<ViewOfPicture> {
  return page.evaluate(() => (window as unknown as Exposed).tilestage.view)
}

/** The place under the centre of a screen pixel of the picture, in pixels of the level that is drawn. */
function placeUnder(view: ViewOfPicture, pixelSizeUm: { x: number; y: number }, column: number, row: number) {
  const x = (view.x0 + ((column + 0.5) * view.umPerPx) / pixelSizeUm.x) / 2 ** view.level
  const y = (view.y0 + ((row + 0.5) * view.umPerPx) / pixelSizeUm.y) / 2 ** view.level
  const isNearBorder = [x, y].some(value => Math.abs(value - Math.round(value)) < BORDER)
  return { x, y, isNearBorder }
}

export function differs(
  screen: Screen,
  column: number,
  row: number,
  colour: readonly number[],
  tolerance = 1,
): boolean {
  const at = 3 * ((row + PICTURE_TOP) * screen.width + column)
  for (let part = 0; part < 3; part++)
    if (Math.abs((screen.rgb[at + part] as number) - (colour[part] as number)) > tolerance) return true
  return false
}

/** What is seen, in pixels of the level that is drawn. */
export function levelRect({ x0, y0, x1, y1, level }: ViewOfPicture): Rect {
  return { x0: x0 / 2 ** level, y0: y0 / 2 ** level, x1: x1 / 2 ** level, y1: y1 / 2 ** level }
}

/** The samples that a picture should show. */
export interface PictureTruth {
  readonly pixelSizeUm: { readonly x: number; readonly y: number }
  /** Level-0 pixels. */
  readonly wells?: readonly Rect[]
  /** @param area in pixels of the level; what lies outside is unknown. */
  samples(level: number, area: Rect, channel?: number): Promise<Sampler>
}

export function truthOf(
  pyramid: Pyramid,
  { zPlane, timePoint } = FIRST_PLANE,
  wells: readonly Rect[] = [],
): PictureTruth {
  const { pixelSizeUm } = pyramid.geometry
  const samples = (level: number, area: Rect, channel = 0): Promise<Sampler> =>
    readSamples(pyramid, level, area, { channel, zPlane, timePoint })
  return { pixelSizeUm, wells, samples }
}

/** One channel, and nothing else that a look may have. */
export function lookOf(...contrasts: readonly Contrast[]): Look {
  const channels = contrasts.map((contrast, channel) => ({ channel, contrast }))
  return { channels, marksClipped: false, smooth: false }
}

/**
 * Compare the free part of the picture with what the samples say, pixel by pixel.
 *
 * @param underWay look at once, when not all that is asked for is drawn: what is not there yet may be void.
 */
export function comparePicture(
  t: Test,
  page: Page,
  truth: PictureTruth,
  contrast: Contrast,
  what: string,
  underWay = false,
) {
  return compareLook(t, page, truth, lookOf(contrast), what, underWay)
}

/** As `comparePicture`, of several channels and of all else that a look says. */
export async function compareLook(
  t: Test,
  page: Page,
  truth: PictureTruth,
  look: Look,
  what: string,
  underWay = false,
) {
  if (!underWay) await untilReady(page)
  const view = await viewOf(page)
  const screen = await readScreen(page)
  const samplers = await Promise.all(
    look.channels.map(({ channel }) => truth.samples(view.level, grown(levelRect(view)), channel)),
  )
  const tables = look.channels.map(({ contrast }) => coloursOf(contrast.colours))
  const isEnlarged = truth.pixelSizeUm.x * 2 ** view.level > view.umPerPx
  const tolerance = look.smooth ? 2 : 1
  const counts = { covered: 0, uncovered: 0, marked: 0, wrong: 0 }
  let first = ''
  for (let row = FREE.y0; row < FREE.y1; row += EVERY_ROWS) {
    for (let column = FREE.x0; column < FREE.x1; column++) {
      const place = placeUnder(view, truth.pixelSizeUm, column, row)
      if (place.isNearBorder) continue
      const [x, y] = [Math.floor(place.x), Math.floor(place.y)]
      const values = samplers.map(sample => sample(x, y))
      const isVoid = !differs(screen, column, row, VOID) || !differs(screen, column, row, EDGE)
      let wrong = !isVoid
      if (values.every(value => value === undefined) || (underWay && isVoid)) {
        counts.uncovered++
      } else {
        counts.covered++
        const well = truth.wells?.findIndex(
          ({ x0, y0, x1, y1 }) =>
            (x + 0.5) * 2 ** view.level >= x0 &&
            (x + 0.5) * 2 ** view.level < x1 &&
            (y + 0.5) * 2 ** view.level >= y0 &&
            (y + 0.5) * 2 ** view.level < y1,
        )
        const contrasts = look.channels.map(shown => ({ ...shown.contrast, ...shown.ofWells?.get(well ?? -1) }))
        const isAbove = contrasts.some(({ white }, i) => (values[i] as number) > white)
        const isBelow = contrasts.some(({ black }, i) => (values[i] as number) < black)
        const isMarked = look.marksClipped && (isAbove || isBelow)
        // Where the squares begin is not said: half of them are marked.
        const markColour = isAbove ? ABOVE : BELOW
        if (isMarked && !differs(screen, column, row, markColour)) {
          counts.marked++
          continue
        }
        const shown = samplers.map((sample, i) =>
          look.smooth && isEnlarged && values[i] !== undefined ? interpolate(sample, place) : values[i],
        )
        wrong = possibleColours(shown, contrasts, tables).every(colour =>
          differs(screen, column, row, colour, tolerance),
        )
      }
      if (wrong && counts.wrong++ === 0) {
        const is = [...screen.rgb.subarray(3 * ((row + PICTURE_TOP) * screen.width + column)).subarray(0, 3)]
        first = `at ${column}, ${row} sample ${place.x}, ${place.y} = ${values} is shown as ${is}`
      }
    }
  }
  t.equal(counts.wrong, 0, `${what}: ${counts.covered} covered and ${counts.uncovered} uncovered pixels ${first}`)
  return counts
}

/** A pixel more on each side. */
function grown({ x0, y0, x1, y1 }: Rect): Rect {
  return { x0: x0 - 1, y0: y0 - 1, x1: x1 + 1, y1: y1 + 1 }
}

/**
 * Colours of the values of some channels, added up, each of red, green and blue to 255. There are several where a
 * brightness lies so near to the border between two steps that the precision of graphics hardware decides.
 */
function possibleColours(
  values: readonly (number | undefined)[],
  contrasts: readonly Contrast[],
  tables: readonly Uint8Array[],
): number[][] {
  let sums = [[0, 0, 0]]
  for (const [i, contrast] of contrasts.entries()) {
    const value = values[i]
    if (value === undefined) continue
    const shown = brightness(value, contrast)
    const near = (away: number): number => colourStep(Math.min(1, Math.max(0, shown + away)), contrast.inverted)
    const table = tables[i] as Uint8Array
    const add = (step: number): number[][] =>
      sums.map(sum => sum.map((part, c) => Math.min(255, part + (table[4 * step + c] as number))))
    const [low, high] = [near(-STEP_PRECISION), near(STEP_PRECISION)]
    sums = low === high ? add(low) : [...add(low), ...add(high)]
  }
  return sums
}

/** The mean of the four samples around a place, by how near each is; what is not covered does not count. */
function interpolate(sample: Sampler, { x, y }: { x: number; y: number }): number {
  let [sum, weights] = [0, 0]
  for (const column of [Math.floor(x - 0.5), Math.floor(x + 0.5)]) {
    for (const row of [Math.floor(y - 0.5), Math.floor(y + 0.5)]) {
      const value = sample(column, row)
      if (value === undefined) continue
      const weight = (1 - Math.abs(x - 0.5 - column)) * (1 - Math.abs(y - 0.5 - row))
      sum += weight * value
      weights += weight
    }
  }
  return sum / weights
}

/** Set the contrast of every channel, as a link does. */
export async function setContrast(page: Page, contrast: Contrast): Promise<void> {
  await page.evaluate(contrast => {
    const control = (window as unknown as Exposed).tilestage.contrast
    const channels = control.state.channels.map(channel => ({ ...channel, automatic: false, contrast }))
    control.restore({ ...control.state, channels })
  }, contrast)
  await untilReady(page)
}

/** Set the contrast of the selected channel by hand. */
export async function typeContrast(page: Page, contrast: Contrast): Promise<void> {
  await page.click('#colour-map')
  await page.check(`#colours-menu input[value="${contrast.colours}"]`)
  await page.check(`#colours-menu input[value=${contrast.stretch}]`)
  await page.keyboard.press('Escape')
  const pressed = (await page.getAttribute('.invert', 'aria-pressed')) === 'true'
  if (pressed !== contrast.inverted) await page.click('.invert')
  for (const name of ['black', 'white', 'gamma', 'black'] as const) {
    await page.fill(`input[name=${name}]`, `${contrast[name]}`)
    await page.press(`input[name=${name}]`, 'Enter')
  }
}

/** Window and gamma as the panel shows them, in grey. */
export async function contrastOf(page: Page): Promise<Contrast> {
  const levels = ['black', 'white'].map(name => page.getAttribute(`.handle.${name}`, 'aria-valuenow'))
  const [black, white] = (await Promise.all(levels)).map(Number)
  return grey(black as number, white as number)
}

export const tileRequests = ({ requests }: OpenPage): string[] => requests.filter(url => url.includes('/tiles/'))

export const grey = (black: number, white: number, gamma = 1): Contrast => ({
  black,
  white,
  gamma,
  stretch: 'linear',
  colours: 'grey',
  inverted: false,
})

export const setLook = (page: Page, look: Look): Promise<void> =>
  page.evaluate(
    ({ channels, ...rest }) => {
      const withWells = channels.map(({ ofWells, ...shown }) => ({
        ...shown,
        ...(ofWells && { ofWells: new Map(ofWells) }),
      }))
      const { tilestage } = window as unknown as Exposed
      tilestage.setLook({ ...rest, channels: withWells })
    },
    { ...look, channels: look.channels.map(shown => ({ ...shown, ofWells: shown.ofWells && [...shown.ofWells] })) },
  )
