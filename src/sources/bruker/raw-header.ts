import { CorruptDataError, LimitExceededError, UnsupportedDataError } from '../../errors.js'
import type { SampleType } from '../../plane.js'
import { readSmallFile } from '../read-file.js'

/** How the samples of a `.raw` file are stored. */
export type RawSample =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'uint64'
  | 'int64'
  | 'float32'
  | 'float64'

/** What a `.rpl` file says of the `.raw` file beside it; plain data. */
export interface RawHeader {
  readonly width: number
  readonly height: number
  /** Channels of each pixel's spectrum. */
  readonly depth: number
  /** Bytes before the first sample. */
  readonly offset: number
  readonly sample: RawSample
  readonly isBigEndian: boolean
  /** Whether the spectrum of a pixel lies together, and not the image of a channel. */
  readonly isByVector: boolean
}

/** Bytes of each kind of sample, and the smallest of our types that holds it. */
export const RAW_SAMPLES: Readonly<Record<RawSample, { readonly bytes: number; readonly type: SampleType }>> = {
  uint8: { bytes: 1, type: 'uint8' },
  int8: { bytes: 1, type: 'int16' },
  uint16: { bytes: 2, type: 'uint16' },
  int16: { bytes: 2, type: 'int16' },
  uint32: { bytes: 4, type: 'uint32' },
  int32: { bytes: 4, type: 'int32' },
  uint64: { bytes: 8, type: 'float64' },
  int64: { bytes: 8, type: 'float64' },
  float32: { bytes: 4, type: 'float32' },
  float64: { bytes: 8, type: 'float64' },
}

const MAX_FILE_BYTES = 2 ** 16
const MAX_EDGE = 2 ** 20
const PREFIXES: Readonly<Record<string, string>> = { unsigned: 'uint', signed: 'int', float: 'float' }

/**
 * Read a `.rpl` file: a key and its value on each line.
 *
 * @returns what it says, and all of its keys.
 * @throws {CorruptDataError} a key is missing or makes no sense. @throws {UnsupportedDataError} samples or an order that
 *   we do not read. @throws {LimitExceededError} an edge is too long. @throws as `readSmallFile`.
 */
export function readRawHeader(path: string): { header: RawHeader; keys: Readonly<Record<string, string>> } {
  const text = decodeText(readSmallFile(path, MAX_FILE_BYTES))
  const keys = new Map<string, string>()
  for (const line of text.split(/\r\n|\r|\n/)) {
    const [, key, value] = /^\s*([^\s;]\S*)\s+([^;]*?)\s*(?:;.*)?$/.exec(line) ?? []
    if (key !== undefined && value) keys.set(key.toLowerCase(), value)
  }
  const oneOf = <Value extends string>(key: string, possible: readonly Value[], usual?: Value): Value => {
    const found = keys.get(key)?.toLowerCase() ?? usual
    const value = possible.find(known => known === found)
    if (value !== undefined) return value
    const problem = found === undefined ? `has no ${key}` : `says that ${key} is ${found}`
    throw new CorruptDataError(`${path} ${problem}; it is one of ${possible.join(', ')}.`, { url: path })
  }
  const whole = (key: string, least: number, usual?: number): number => {
    const found = keys.get(key)
    const value = found === undefined ? usual : /^\d+$/.test(found) ? Number(found) : Number.NaN
    if (value === undefined || !Number.isSafeInteger(value) || value < least) {
      const problem = found === undefined ? `has no ${key}` : `says that ${key} is ${found}`
      throw new CorruptDataError(`${path} ${problem}; it is a whole number from ${least} on.`, { url: path })
    }
    if (least > 0 && value > MAX_EDGE)
      throw new LimitExceededError(`${path} says that ${key} is ${value}; up to ${MAX_EDGE} are read.`, { url: path })
    return value
  }
  const width = whole('width', 1)
  const height = whole('height', 1)
  const depth = whole('depth', 1, 1)
  const bytes = whole('data-length', 1)
  const type = oneOf('data-type', ['unsigned', 'signed', 'float'])
  const sample = `${PREFIXES[type]}${8 * bytes}`
  if (!(sample in RAW_SAMPLES)) {
    const message = `${path} describes ${type} samples of ${bytes} bytes; integers of 1, 2, 4 and 8 and floats of 4 and 8 bytes are read.`
    throw new UnsupportedDataError(message, { url: path })
  }
  const order = oneOf('byte-order', ['dont-care', 'little-endian', 'big-endian'], bytes === 1 ? 'dont-care' : undefined)
  if (order === 'dont-care' && bytes > 1) {
    const message = `${path} does not say the byte-order of samples of ${bytes} bytes; it is big-endian or little-endian.`
    throw new CorruptDataError(message, { url: path })
  }
  const record = oneOf('record-by', ['dont-care', 'vector', 'image'], depth === 1 ? 'dont-care' : undefined)
  if (record === 'dont-care' && depth > 1) {
    const message = `${path} does not say whether its ${depth} channels are recorded by vector or by image.`
    throw new CorruptDataError(message, { url: path })
  }
  return {
    header: {
      ...{ width, height, depth, sample: sample as RawSample },
      ...{ offset: whole('offset', 0, 0), isBigEndian: order === 'big-endian', isByVector: record === 'vector' },
    },
    keys: Object.fromEntries(keys),
  }
}

/** The µ of a unit is two bytes in UTF-8, and one in what programs on Windows write. */
function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return Buffer.from(bytes).toString('latin1')
  }
}
