import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { brightness, type Contrast, colourStep } from '../../public/contrast/contrast.js'
import type { Rect } from '../../src/plane.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { coloursOf } from '../../src/render/colour-maps.js'
import { type OpenPage, readScreen, type Screen, untilReady } from './browser.js'

/** Where the picture begins on a page of 1200 × 1000, and a part of it that nothing floats over. */
export const PICTURE_TOP = 44
export const FREE = { x0: 60, y0: 230, x1: 740, y1: 790 }
export const VOID = [0x1c, 0x1e, 0x21]
export const EDGE = [0x6f, 0x76, 0x80]
/**
 * Screen pixels whose centre is this near to a border between samples, in samples, may fall on either side: graphics
 * hardware places the corners of a tile to a sixteenth of a screen pixel.
 */
const BORDER = 0.1

/** What is seen: level-0 pixels of the picture's corners, and the level that is drawn. */
export interface ViewOfPicture extends Rect {
  readonly umPerPx: number
  readonly level: number
}

export type Sampler = (x: number, y: number) => number | undefined

/**
 * Samples of a level as the pyramid holds them, read without the server; `undefined` where no frame lies.
 *
 * @param area in pixels of the level; what lies outside is unknown.
 */
export async function readSamples(pyramid: Pyramid, level: number, area: Rect): Promise<Sampler> {
  const plane = { channel: 0, zPlane: 0, timePoint: 0 }
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
    return tile && (!tile.mask || tile.mask[index]) ? tile.samples[index] : undefined
  }
}

export async function viewOf(page: Page): Promise<ViewOfPicture> {
  return page.evaluate(() => (window as unknown as { tilestage: { view: ViewOfPicture } }).tilestage.view)
}

/** The level's sample under the centre of a screen pixel of the picture; `undefined` too near to a border to tell. */
function sampleUnder(view: ViewOfPicture, pixelSizeUm: { x: number; y: number }, column: number, row: number) {
  const x = (view.x0 + ((column + 0.5) * view.umPerPx) / pixelSizeUm.x) / 2 ** view.level
  const y = (view.y0 + ((row + 0.5) * view.umPerPx) / pixelSizeUm.y) / 2 ** view.level
  const nearBorder = [x, y].some(value => Math.abs(value - Math.round(value)) < BORDER)
  return nearBorder ? undefined : { x: Math.floor(x), y: Math.floor(y) }
}

export function differs(
  screen: Screen,
  column: number,
  row: number,
  [red = 0, green = 0, blue = 0]: readonly number[],
): boolean {
  const at = 3 * ((row + PICTURE_TOP) * screen.width + column)
  const parts = [red, green, blue]
  return parts.some((part, i) => Math.abs((screen.rgb[at + i] as number) - part) > 1)
}

/** What is seen, in pixels of the level that is drawn. */
export function levelRect({ x0, y0, x1, y1, level }: ViewOfPicture): Rect {
  return { x0: x0 / 2 ** level, y0: y0 / 2 ** level, x1: x1 / 2 ** level, y1: y1 / 2 ** level }
}

/** The samples that a picture should show. */
export interface PictureTruth {
  readonly pixelSizeUm: { readonly x: number; readonly y: number }
  /** @param area in pixels of the level; what lies outside is unknown. */
  samples(level: number, area: Rect): Promise<Sampler>
}

export function truthOf(pyramid: Pyramid): PictureTruth {
  const { pixelSizeUm } = pyramid.geometry
  return { pixelSizeUm, samples: (level, area) => readSamples(pyramid, level, area) }
}

/**
 * Compare the free part of the picture with what the samples say, pixel by pixel.
 *
 * @param underWay look at once, when not all that is asked for is drawn: what is not there yet may be void.
 */
export async function comparePicture(
  t: Test,
  page: Page,
  truth: PictureTruth,
  contrast: Contrast,
  what: string,
  underWay = false,
) {
  if (!underWay) await untilReady(page)
  const view = await viewOf(page)
  const screen = await readScreen(page)
  const table = coloursOf(contrast.colours)
  const sample = await truth.samples(view.level, levelRect(view))
  const counts = { covered: 0, uncovered: 0, wrong: 0 }
  let first = ''
  for (let row = FREE.y0; row < FREE.y1; row += 5) {
    for (let column = FREE.x0; column < FREE.x1; column++) {
      const at = sampleUnder(view, truth.pixelSizeUm, column, row)
      if (!at) continue
      const value = sample(at.x, at.y)
      const isVoid = !differs(screen, column, row, VOID) || !differs(screen, column, row, EDGE)
      let wrong = !isVoid
      if (value === undefined || (underWay && isVoid)) {
        counts.uncovered++
      } else {
        counts.covered++
        const step = 4 * colourStep(brightness(value, contrast), contrast.inverted)
        wrong = differs(screen, column, row, [...table.subarray(step, step + 3)])
      }
      if (wrong && counts.wrong++ === 0) {
        const shown = [...screen.rgb.subarray(3 * ((row + PICTURE_TOP) * screen.width + column)).subarray(0, 3)]
        first = `sample ${at.x}, ${at.y} = ${value} is shown as ${shown}`
      }
    }
  }
  t.equal(counts.wrong, 0, `${what}: ${counts.covered} covered and ${counts.uncovered} uncovered pixels ${first}`)
  return counts
}

export async function setContrast(page: Page, contrast: Contrast): Promise<void> {
  await page.selectOption('#colour-map', contrast.colours)
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
