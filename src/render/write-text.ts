import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { builtModule } from '../built-module.js'
import type { Size } from '../plane.js'

/** Longer ones are cut off; nothing is wide enough to show them. */
const MAX_LETTERS = 120

const FONT_FILE = fileURLToPath(builtModule('render/inter-medium.ttf'))

/** A text as a picture with transparent ground. */
export interface WrittenText {
  /** PNG. */
  readonly input: Buffer
  readonly height: number
}

/**
 * Write a line of text, half a letter in from its left edge.
 *
 * @param colour hex digits. @param most what does not fit is cut off.
 */
export async function writeText(line: string, fontPx: number, colour: string, most: Size): Promise<WrittenText> {
  const indent = Math.round(fontPx / 2)
  const text = `<span foreground="#${colour}">${escapeMarkup(line)}</span>`
  // The comma keeps "Medium" in the name of the family. At 72 dpi a point is a pixel.
  const font = `Inter Medium, ${fontPx}`
  const written = sharp({ text: { text, font, fontfile: FONT_FILE, dpi: 72, rgba: true } })
  const { data, info } = await written.extend({ left: indent, background: '#0000' }).png().toBuffer({
    resolveWithObject: true,
  })
  const height = Math.min(info.height, most.height)
  const width = Math.min(info.width, most.width)
  return { input: await sharp(data).extract({ left: 0, top: 0, width, height }).png().toBuffer(), height }
}

/** The line as it is shown: without line breaks and what has no picture. */
export function shownText(line: string): string {
  return [...line.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ').trim()].slice(0, MAX_LETTERS).join('') || '–'
}

/** Text for Pango, in one line and without characters that its markup does not have; never empty. */
function escapeMarkup(line: string): string {
  return shownText(line).replace(/[&<>]/g, character => `&#${character.charCodeAt(0)};`)
}
