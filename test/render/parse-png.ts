import { crc32, inflateSync } from 'node:zlib'

export interface ParsedPng {
  readonly width: number
  readonly height: number
  readonly depth: number
  readonly colourType: number
  /** Contents by the type of the chunk. */
  readonly chunks: ReadonlyMap<string, Buffer>
  /** Filter byte and filtered bytes of each row. */
  readonly rows: readonly Buffer[]
}

const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

/** A PNG taken apart as the standard has it; whatever is not so is an error. */
export function parsePng(png: Buffer): ParsedPng {
  const expect = (condition: boolean, what: string): void => {
    if (!condition) throw new Error(`no PNG: ${what}`)
  }
  expect(png.subarray(0, 8).toString('hex') === '89504e470d0a1a0a', 'signature')
  const chunks = new Map<string, Buffer>()
  const order: string[] = []
  let at = 8
  while (at < png.length) {
    const end = at + 8 + png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    expect(crc32(png.subarray(at + 4, end)) === png.readUInt32BE(end), `checksum of ${type}`)
    chunks.set(type, Buffer.concat([chunks.get(type) ?? Buffer.alloc(0), png.subarray(at + 8, end)]))
    if (order.at(-1) !== type) order.push(type)
    at = end + 4
  }
  expect(at === png.length && /^IHDR( PLTE)?( tRNS)? IDAT IEND$/.test(order.join(' ')), `chunks ${order.join(' ')}`)
  const header = chunks.get('IHDR')!
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const [depth, colourType, compression, filter, interlace] = header.subarray(8)
  expect(header.length === 13 && compression === 0 && filter === 0 && interlace === 0, 'header')
  expect((colourType === 3) === chunks.has('PLTE'), 'palette')
  const filtered = inflateSync(chunks.get('IDAT')!)
  const rowBytes = 1 + width * CHANNELS[colourType]
  expect(filtered.length === rowBytes * height, 'number of pixels')
  const rows = Array.from({ length: height }, (_, y) => filtered.subarray(y * rowBytes, (y + 1) * rowBytes))
  return { width, height, depth, colourType, chunks, rows }
}
