import { gunzipSync, unzipSync } from 'node:zlib'

/** Of blocks, headers and texts: chunks may be this much longer than their samples, bytes. */
const SPARE_BYTES = 2 ** 20

/**
 * How long packed bytes get, by their own account: the libraries that unpack them take memory for what is written
 * there. NaN where it is not written there.
 *
 * @param limit where it has to be tried, no further is gone.
 */
type UnpackedLength = (packed: DataView, limit: number) => number

const LENGTHS: Readonly<Record<string, UnpackedLength>> = {
  blosc: packed => (packed.byteLength < 16 ? Number.NaN : packed.getUint32(4, true)),
  lz4: packed => (packed.byteLength < 4 ? Number.NaN : packed.getUint32(0, true)),
  zstd: zstdLength,
  gzip: (packed, limit) => triedLength(gunzipSync, packed, limit),
  zlib: (packed, limit) => triedLength(unzipSync, packed, limit),
}

/** Names of the codecs that pack, as far as they are known here; v2 arrays have a prefix to theirs. */
export function packersOf(codecs: readonly string[]): string[] {
  return codecs.map(name => name.replace(/^numcodecs\./, '')).filter(name => name in LENGTHS)
}

/**
 * Why packed bytes should not be unpacked; undefined where nothing speaks against it.
 *
 * @param bytes of the samples that they should hold.
 */
export function whyNotUnpack(packer: string, packed: Uint8Array, bytes: number): string | undefined {
  const limit = bytes + SPARE_BYTES
  const length = LENGTHS[packer]!(new DataView(packed.buffer, packed.byteOffset, packed.byteLength), limit)
  if (length <= limit) return undefined
  const found = Number.isNaN(length) ? 'an unknown number of' : length === Infinity ? 'too many' : `${length}`
  return `a chunk packed by ${packer} that unpacks to ${found} bytes; ${bytes} are expected`
}

const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_DICTIONARY_BYTES = [0, 1, 2, 4]
/** Magic number, descriptor, window, dictionary and length. */
const ZSTD_HEADER_BYTES = 18

/** @see RFC 8878, section 3.1.1.1 */
function zstdLength(packed: DataView): number {
  const padded = new DataView(new ArrayBuffer(ZSTD_HEADER_BYTES))
  for (let i = 0; i < Math.min(packed.byteLength, ZSTD_HEADER_BYTES); i++) padded.setUint8(i, packed.getUint8(i))
  if (padded.getUint32(0, true) !== ZSTD_MAGIC) return Number.NaN
  const descriptor = padded.getUint8(4)
  const isSingle = (descriptor & 0x20) !== 0
  const at = 5 + (isSingle ? 0 : 1) + ZSTD_DICTIONARY_BYTES[descriptor & 3]!
  switch (descriptor >> 6) {
    case 0:
      return isSingle ? padded.getUint8(at) : Number.NaN
    case 1:
      return padded.getUint16(at, true) + 256
    case 2:
      return padded.getUint32(at, true)
    default:
      return Number(padded.getBigUint64(at, true))
  }
}

function triedLength(unpack: typeof gunzipSync, packed: DataView, limit: number): number {
  try {
    return unpack(packed, { maxOutputLength: limit }).length
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? Infinity : Number.NaN
  }
}
