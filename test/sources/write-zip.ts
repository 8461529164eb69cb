import { closeSync, openSync, writeSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { crc32 } from '@node-rs/crc32'

/** What is to be put into an archive. */
export interface ZipContent {
  readonly name: string
  readonly bytes: Uint8Array
  readonly isDeflated?: boolean
  /** Where its header is to be, bytes; behind the one before where left out. The file is sparse between. */
  readonly at?: number
  /** What the directory is to say instead of the truth. */
  readonly declared?: {
    readonly bytes?: number
    readonly crc32?: number
    readonly flags?: number
    readonly method?: number
  }
}

const IN_64 = 0xffffffff

/** Write a ZIP archive; with the fields of ZIP64 where its numbers ask for them, as Python does. */
export function writeZip(path: string, contents: readonly ZipContent[]): string {
  const file = openSync(path, 'w')
  let at = 0
  let pending: Buffer[] = []
  let start = 0
  const flush = (): void => {
    const bytes = Buffer.concat(pending)
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, start + done)
    pending = []
  }
  const directory: Buffer[] = []
  for (const { name, bytes, isDeflated = false, at: wanted = at, declared = {} } of contents) {
    if (wanted !== at) {
      flush()
      at = start = wanted
    }
    const nameBytes = Buffer.from(name)
    const packed = isDeflated ? deflateRawSync(bytes) : bytes
    const { flags = 0, method = isDeflated ? 8 : 0 } = declared
    const facts = Buffer.alloc(22)
    facts.writeUInt16LE(flags, 0)
    facts.writeUInt16LE(method, 2)
    facts.writeUInt32LE(declared.crc32 ?? crc32(bytes), 8)
    facts.writeUInt32LE(packed.length, 12)
    facts.writeUInt32LE(declared.bytes ?? bytes.length, 16)
    facts.writeUInt16LE(nameBytes.length, 20)
    const local = Buffer.concat([
      Buffer.from('PK\x03\x04\x2d\x00', 'latin1'),
      facts,
      Buffer.alloc(2),
      nameBytes,
      packed,
    ])
    const isFar = at >= IN_64
    const extra = Buffer.alloc(isFar ? 12 : 0)
    if (isFar) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(8, 2)
      extra.writeBigUInt64LE(BigInt(at), 4)
    }
    const rest = Buffer.alloc(16)
    rest.writeUInt16LE(extra.length, 0)
    rest.writeUInt32LE(isFar ? IN_64 : at, 12)
    directory.push(Buffer.from('PK\x01\x02\x2d\x03\x2d\x00', 'latin1'), facts, rest, nameBytes, extra)
    pending.push(local)
    at += local.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  if (contents.length >= 0xffff || at >= IN_64) {
    const wide = Buffer.alloc(76)
    wide.write('PK\x06\x06', 'latin1')
    wide.writeBigUInt64LE(44n, 4)
    wide.writeBigUInt64LE(BigInt(contents.length), 24)
    wide.writeBigUInt64LE(BigInt(contents.length), 32)
    wide.writeBigUInt64LE(BigInt(listed.length), 40)
    wide.writeBigUInt64LE(BigInt(at), 48)
    wide.write('PK\x06\x07', 56, 'latin1')
    wide.writeBigUInt64LE(BigInt(at + listed.length), 64)
    wide.writeUInt32LE(1, 72)
    end.fill(0xff, 8, 20)
    pending.push(listed, wide, end)
  } else {
    end.writeUInt16LE(contents.length, 8)
    end.writeUInt16LE(contents.length, 10)
    end.writeUInt32LE(listed.length, 12)
    end.writeUInt32LE(at, 16)
    pending.push(listed, end)
  }
  flush()
  closeSync(file)
  return path
}
