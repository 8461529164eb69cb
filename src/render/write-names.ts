import { LRUCache } from 'lru-cache'
import type { Size } from '../plane.js'
import { type Raster, toRgb } from './raster.js'
import { type WrittenText, writeText } from './write-text.js'

/** Letters grow with the shorter edge of their picture, and more slowly: 10 px at 96 px, 18 px at 400 px. */
const LEAST_FONT_PX = 8
const LARGEST_FONT_PX = 40
const FONT_GROWTH = 1 / 40

/** Between the letters and the edge of their ground, in letters. */
const PADDING = { x: 0.4, y: 0.25 }

/** What a picture keeps of its brightness below a name: white letters then stand out from white by a contrast of 8:1. */
const KEPT_BRIGHTNESS = 0.3
const INK = 'ffffff'

/** Names that are kept as they were written: those of a chart are the same in all of its pictures. */
const NAMES = 64

const written = new LRUCache<string, WrittenText>({ max: NAMES })

/**
 * Write names into the upper left corners of pictures that stand side by side, on a darkened ground. A name that is too
 * long ends with "…"; one that would take half of its picture is left out.
 *
 * @param raster may be written to. @param size of each picture, px. @param gap between two of them, px.
 */
export async function writeNames(raster: Raster, names: readonly string[], size: Size, gap: number): Promise<Raster> {
  const edge = Math.min(size.width, size.height)
  const fontPx = Math.round(Math.min(LARGEST_FONT_PX, LEAST_FONT_PX + edge * FONT_GROWTH))
  const padding = { x: Math.round(PADDING.x * fontPx), y: Math.round(PADDING.y * fontPx) }
  const target = raster.palette ? toRgb(raster) : raster
  for (const [i, name] of names.entries()) {
    const text = await textOf(name, fontPx, size.width - 2 * padding.x)
    const ground = { width: text.width + 2 * padding.x, height: text.height + 2 * padding.y }
    if (text.width > 0 && 2 * ground.height <= size.height)
      writeName(target, text, { ...ground, x: i * (size.width + gap) }, padding)
  }
  return target
}

async function textOf(name: string, fontPx: number, widest: number): Promise<WrittenText> {
  const key = `${fontPx},${widest},${name}`
  const text = written.get(key) ?? (await writeText(name, fontPx, INK, widest))
  written.set(key, text)
  return text
}

function writeName(
  { pixels, channels, covered, width }: Raster,
  text: WrittenText,
  ground: Size & { readonly x: number },
  padding: { readonly x: number; readonly y: number },
): void {
  for (let y = 0; y < ground.height; y++) {
    for (let x = 0; x < ground.width; x++) {
      const at = y * width + ground.x + x
      const [column, row] = [x - padding.x, y - padding.y]
      const isText = column >= 0 && row >= 0 && column < text.width && row < text.height
      const letter = isText ? 4 * (row * text.width + column) : -1
      const share = isText ? text.pixels[letter + 3] / 255 : 0
      const kept = covered?.[at] === 0 ? 0 : KEPT_BRIGHTNESS * (1 - share)
      for (let c = 0; c < channels; c++) {
        const i = channels * at + c
        pixels[i] = Math.round(kept * pixels[i] + (isText ? share * text.pixels[letter + c] : 0))
      }
      if (covered) covered[at] = 1
    }
  }
}
