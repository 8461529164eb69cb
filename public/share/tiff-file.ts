/** About so many bytes are read from the canvas at a time. */
const STRIP_BYTES = 2 ** 22
const HEADER_BYTES = 8
const ENTRY_BYTES = 12

/** TIFF 6.0, section 2. */
type Field = { readonly tag: number } & (
  | { readonly type: 'ascii'; readonly text: string }
  | { readonly type: 'short' | 'long'; readonly values: readonly number[] }
  | { readonly type: 'rational'; readonly value: readonly [numerator: number, denominator: number] }
)

const FIELD_TYPES = { ascii: 2, short: 3, long: 4, rational: 5 } as const

export interface TiffFacts {
  readonly dpi: number
  /** Whether what was not drawn stays transparent. */
  readonly transparent: boolean
  readonly description: string
  readonly software: string
}

/**
 * Write a canvas as a baseline TIFF: 8-bit RGB, or with a fourth sample of transparency, not compressed.
 */
export function tiffOf(canvas: HTMLCanvasElement, { dpi, transparent, description, software }: TiffFacts): Blob {
  const { width, height } = canvas
  const samples = transparent ? 4 : 3
  const rowsPerStrip = Math.max(1, Math.min(height, Math.floor(STRIP_BYTES / (width * samples))))
  const strips = Array.from({ length: Math.ceil(height / rowsPerStrip) }, (_, i) => {
    const top = i * rowsPerStrip
    return { top, rows: Math.min(rowsPerStrip, height - top) }
  })
  const short = (tag: number, ...values: number[]): Field => ({ tag, type: 'short', values })
  const long = (tag: number, ...values: number[]): Field => ({ tag, type: 'long', values })
  // Thousandths, since dpi need not be whole.
  const resolution = [Math.round(dpi * 1000), 1000] as const
  const fieldsFor = (start: number): Field[] => [
    long(254, 0),
    long(256, width),
    long(257, height),
    short(258, ...Array.from({ length: samples }, () => 8)),
    short(259, 1),
    short(262, 2),
    { tag: 270, type: 'ascii', text: description },
    long(273, ...strips.map(({ top }) => start + top * width * samples)),
    short(277, samples),
    long(278, rowsPerStrip),
    long(279, ...strips.map(({ rows }) => rows * width * samples)),
    { tag: 282, type: 'rational', value: resolution },
    { tag: 283, type: 'rational', value: resolution },
    short(284, 1),
    short(296, 2),
    { tag: 305, type: 'ascii', text: software },
    // Transparency by itself, not multiplied into the colours.
    ...(transparent ? [short(338, 2)] : []),
  ]
  const start = HEADER_BYTES + writeDirectory(fieldsFor(0)).length
  const context = canvas.getContext('2d')
  const pixels = strips.map(({ top, rows }) => {
    const { data } = context?.getImageData(0, top, width, rows) ?? new ImageData(width, rows)
    // A blob may leave memory.
    return new Blob([transparent ? new Uint8Array(data) : withoutAlpha(data)])
  })
  return new Blob([headerBytes(), writeDirectory(fieldsFor(start)), ...pixels], { type: 'image/tiff' })
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
  const rgb = new Uint8Array((rgba.length / 4) * 3)
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] as number
    rgb[to + 1] = rgba[from + 1] as number
    rgb[to + 2] = rgba[from + 2] as number
  }
  return rgb
}

/** Little endian; the directory follows. */
function headerBytes(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(0x49, 0x49, 42, 0, HEADER_BYTES, 0, 0, 0)
}

/** The only directory, behind the header; values that do not fit an entry stand behind it. */
function writeDirectory(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const values = fields.map(bytesOfField)
  const entriesEnd = 2 + ENTRY_BYTES * fields.length + 4
  const isApart = ({ length }: Uint8Array): boolean => length > 4
  // Everything begins at an even address.
  const padded = ({ length }: Uint8Array): number => length + (length % 2)
  const bytes = new Uint8Array(values.filter(isApart).reduce((sum, value) => sum + padded(value), entriesEnd))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, fields.length, true)
  let apartAt = entriesEnd
  fields.forEach((field, i) => {
    const value = values[i] as Uint8Array
    const entry = 2 + ENTRY_BYTES * i
    view.setUint16(entry, field.tag, true)
    view.setUint16(entry + 2, FIELD_TYPES[field.type], true)
    view.setUint32(entry + 4, countOf(field, value), true)
    if (isApart(value)) view.setUint32(entry + 8, HEADER_BYTES + apartAt, true)
    bytes.set(value, isApart(value) ? apartAt : entry + 8)
    if (isApart(value)) apartAt += padded(value)
  })
  return bytes
}

function countOf(field: Field, value: Uint8Array): number {
  if (field.type === 'ascii') return value.length
  return field.type === 'rational' ? 1 : field.values.length
}

function bytesOfField(field: Field): Uint8Array {
  switch (field.type) {
    case 'ascii':
      return new TextEncoder().encode(`${field.text}\0`)
    case 'short':
      return new Uint8Array(Uint16Array.from(field.values).buffer)
    case 'long':
      return new Uint8Array(Uint32Array.from(field.values).buffer)
    case 'rational':
      return new Uint8Array(Uint32Array.from(field.value).buffer)
  }
}
