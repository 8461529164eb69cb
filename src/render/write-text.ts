import { fileURLToPath } from 'node:url'
import { builtModule } from '../built-module.js'
import type { Size } from '../plane.js'
import { loadSharp } from './load-sharp.js'

/** Longer ones are cut off; nothing is wide enough to show them. */
const MAX_LETTERS = 120

const FONT_FILE = fileURLToPath(builtModule('render/inter-medium.ttf'))

/** A letter as high and as low as most, so that texts of the same size stand on the same line. */
const STRUT = '<span alpha="1">j</span>'

const graphemes = new Intl.Segmenter()

/** A text as a picture with transparent ground. */
export interface WrittenText extends Size {
  /** RGBA, row-major. */
  readonly pixels: Buffer
}

/**
 * Write a line of text.
 *
 * @param colour hex digits. @param widest px: what is longer is shortened, and ends with "…".
 * @returns of width 0 where nothing of it fits.
 */
export async function writeText(line: string, fontPx: number, colour: string, widest: number): Promise<WrittenText> {
  const shown = shownText(line)
  const write = (text: string): Promise<WrittenText> => drawText(text, fontPx, colour)
  const whole = await write(shown)
  if (whole.width <= widest) return whole
  const letters = [...graphemes.segment(shown)].map(({ segment }) => segment)
  let best: WrittenText = { width: 0, height: whole.height, pixels: Buffer.alloc(0) }
  for (let [fits, tooMany] = [0, letters.length]; tooMany - fits > 1; ) {
    const count = (fits + tooMany) >> 1
    const text = await write(`${letters.slice(0, count).join('').trimEnd()}…`)
    if (text.width > widest) tooMany = count
    else {
      fits = count
      best = text
    }
  }
  return best
}

/** The line as it is shown: without line breaks and what has no picture. */
export function shownText(line: string): string {
  return [...line.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ').trim()].slice(0, MAX_LETTERS).join('') || '–'
}

async function drawText(line: string, fontPx: number, colour: string): Promise<WrittenText> {
  const text = `<span foreground="#${colour}">${escapeMarkup(line)}</span>${STRUT}`
  // The comma keeps "Medium" in the name of the family. At 72 dpi a point is a pixel.
  const font = `Inter Medium, ${fontPx}`
  const sharp = await loadSharp()
  const { data, info } = await sharp({ text: { text, font, fontfile: FONT_FILE, dpi: 72, rgba: true } })
    .raw()
    .toBuffer({ resolveWithObject: true })
  return trimSides(data, info)
}

/** Without the columns at the left and right that nothing can be seen of: there is the strut. */
function trimSides(pixels: Uint8Array, { width, height }: Size): WrittenText {
  const isEmpty = (x: number): boolean => {
    for (let y = 0; y < height; y++) if (pixels[4 * (y * width + x) + 3] > 0) return false
    return true
  }
  let [left, right] = [0, width]
  while (left < right && isEmpty(left)) left++
  while (left < right && isEmpty(right - 1)) right--
  const trimmed = Buffer.alloc(4 * (right - left) * height)
  for (let y = 0; y < height; y++)
    trimmed.set(pixels.subarray(4 * (y * width + left), 4 * (y * width + right)), 4 * y * (right - left))
  return { width: right - left, height, pixels: trimmed }
}

/** Text for Pango: without characters that its markup does not have. */
function escapeMarkup(line: string): string {
  return line.replace(/[&<>]/g, character => `&#${character.charCodeAt(0)};`)
}
