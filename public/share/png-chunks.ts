/** Behind the signature of 8 bytes, the first chunk (IHDR) has 25. */
const FIRST_CHUNK_END = 33
const METRES_PER_INCH = 0.0254

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/**
 * Let a PNG tell its resolution (`pHYs`) and some texts (`iTXt`).
 *
 * @param png as a browser writes it. @param texts by keyword, which has 1 to 79 Latin characters.
 */
export function describePng(png: Blob, dpi: number, texts: Readonly<Record<string, string>>): Blob {
  const chunks = [resolutionChunk(dpi), ...Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text))]
  return new Blob([png.slice(0, FIRST_CHUNK_END), ...chunks, png.slice(FIRST_CHUNK_END)], { type: 'image/png' })
}

function resolutionChunk(dpi: number): Uint8Array<ArrayBuffer> {
  const data = new DataView(new ArrayBuffer(9))
  const pxPerMetre = Math.round(dpi / METRES_PER_INCH)
  data.setUint32(0, pxPerMetre)
  data.setUint32(4, pxPerMetre)
  data.setUint8(8, 1)
  return chunk('pHYs', new Uint8Array(data.buffer))
}

/** UTF-8, not compressed, of no language. */
function textChunk(keyword: string, text: string): Uint8Array<ArrayBuffer> {
  return chunk('iTXt', new TextEncoder().encode(`${keyword}\0\0\0\0\0${text}`))
}

/** Length, type, data and their checksum (PNG specification, 5.3). */
function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(new TextEncoder().encode(type), 4)
  bytes.set(data, 8)
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)))
  return bytes
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
