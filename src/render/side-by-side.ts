import sharp, { type OverlayOptions } from 'sharp'
import type { Size } from '../plane.js'
import type { PictureFormat } from './picture.js'
import { DEFAULT_QUALITY } from './picture.js'
import { type WrittenText, writeText } from './write-text.js'

/** A picture and what it is called. */
export interface Panel {
  readonly png: Buffer
  readonly name: string
}

/** How panels of one size are put together. */
export interface PanelLayout {
  /** Of each panel, px. */
  readonly size: Size
  readonly count: number
  /** Between two panels, px. */
  readonly gap: number
  /** Whether the names stand above. */
  readonly labels: boolean
}

interface PanelPicture extends PanelLayout {
  readonly panels: readonly Panel[]
  readonly format: PictureFormat
  readonly quality: number | undefined
  /** Six hex digits; what is not drawn is transparent without one, and black in a JPEG. */
  readonly background: string | undefined
}

const LEAST_FONT_PX = 12
const LARGEST_FONT_PX = 64

/** A name fills this share of a panel's width, if it has about twenty letters. */
const FONT_SHARE = 1 / 16

/** Size of the whole picture, px. */
export function sideBySideSize(layout: PanelLayout): Size {
  const { size, count, gap } = layout
  return { width: count * size.width + (count - 1) * gap, height: size.height + stripHeight(layout) }
}

function fontPx({ size }: PanelLayout): number {
  return Math.min(LARGEST_FONT_PX, Math.max(LEAST_FONT_PX, Math.round(size.width * FONT_SHARE)))
}

/** Height of the strip that the names stand in, px. */
function stripHeight(layout: PanelLayout): number {
  return layout.labels ? Math.round(1.75 * fontPx(layout)) : 0
}

/** Put pictures of one size beside each other, in their order from the left, and encode the whole. */
export async function drawSideBySide(picture: PanelPicture): Promise<Buffer> {
  const { panels, size, gap, format, quality = DEFAULT_QUALITY, background, labels } = picture
  const whole = sideBySideSize(picture)
  const strip = stripHeight(picture)
  const left = (i: number): number => i * (size.width + gap)
  const parts: OverlayOptions[] = panels.map(({ png }, i) => ({ input: png, left: left(i), top: strip }))
  if (labels) {
    const colour = background ?? '000000'
    const bar = { create: { width: whole.width, height: strip, channels: 3, background: `#${colour}` } } as const
    parts.push({ input: bar, left: 0, top: 0 })
    const names = await Promise.all(panels.map(({ name }) => writeName(name, picture, isDark(colour) ? 'fff' : '000')))
    names.forEach(({ input, height }, i) => {
      parts.push({ input, left: left(i), top: Math.max(0, Math.round((strip - height) / 2)) })
    })
  }
  const opaque = background ?? (format === 'jpg' ? '000000' : undefined)
  const ground = opaque === undefined ? { r: 0, g: 0, b: 0, alpha: 0 } : `#${opaque}`
  const image = sharp({ create: { ...whole, channels: opaque === undefined ? 4 : 3, background: ground } })
  image.composite(parts)
  if (opaque !== undefined) image.removeAlpha()
  switch (format) {
    case 'png':
      return image.png({ compressionLevel: 3 }).toBuffer()
    case 'jpg':
      return image.jpeg({ quality }).toBuffer()
    case 'webp':
      return image.webp({ quality }).toBuffer()
  }
}

/** A name as a picture of at most a panel's width, a little in from its left edge. */
function writeName(name: string, layout: PanelLayout, colour: string): Promise<WrittenText> {
  return writeText(name, fontPx(layout), colour, { width: layout.size.width, height: stripHeight(layout) })
}

/** Whether white stands out from a colour better than black does. */
function isDark(hex: string): boolean {
  const [red, green, blue] = Buffer.from(hex, 'hex')
  return 0.299 * red + 0.587 * green + 0.114 * blue < 140
}
