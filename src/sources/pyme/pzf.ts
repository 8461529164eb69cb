import { CorruptDataError } from '../../errors.js'
import {
  allocateSamples,
  type Plane,
  SAMPLE_TYPES,
  type SampleArray,
  type SampleType,
  samplesFromBytes,
} from '../../plane.js'
import { decodeHuffman, minHuffmanBytes } from './huffman.js'
import { type PzfHeader, readPzfHeader } from './pzf-header.js'

/** A decoded PZF file: `depth` planes one after the other, the sample at (z, y, x) at `(z * height + y) * width + x`. */
export interface PzfFrame extends Plane {
  readonly depth: number
}

/** What there is to decode in a PZF file: plain data, and views of the file's bytes. */
export interface PzfPlan {
  readonly header: PzfHeader
  /** Length of the payload once it is decoded. */
  readonly decodedBytes: number
  /** The payload where it is not compressed; there are no streams then. */
  readonly stored: Uint8Array | undefined
  /** The Huffman streams, each with the place of its bytes in the decoded payload. They follow each other without gaps. */
  readonly streams: readonly { readonly input: Uint8Array; readonly start: number; readonly length: number }[]
  /** Whether the decoded payload is the samples as they are to be; else `arrangeSamples` makes them from it. */
  readonly arranged: boolean
}

/**
 * Check everything of a PZF file but its Huffman codes, without taking memory. Whoever goes on decodes the `streams`,
 * by `decodeHuffman` or by a kernel that accepts the same, and then calls `arrangeSamples` where it is needed.
 *
 * @param bytes a whole PZF file, header included; the plan holds views of it.
 * @param url where the bytes come from, for the messages.
 * @param expect called with the header before the payload is looked at; throws where it is not that of the series.
 * @throws {CorruptDataError} truncated, damaged or not a PZF file.
 * @throws {UnsupportedDataError} a variant of PZF that we do not know.
 * @throws {LimitExceededError} a frame of more than 1 GiB.
 */
export function planPzfDecode(bytes: Uint8Array, url: string, expect?: (header: PzfHeader) => void): PzfPlan {
  const header = readPzfHeader(bytes, url)
  expect?.(header)
  const { width, height, depth, dataOffset, compression, quantisation } = header
  if (dataOffset > bytes.length) throw truncated(url, dataOffset, bytes.length)
  const payload = bytes.subarray(dataOffset)
  const storedType = quantisation === undefined ? header.sampleType : 'uint8'
  const decodedBytes = width * height * depth * SAMPLE_TYPES[storedType].bytes
  // Huffman codes take at least a bit a byte: no header can ask for more than 8 times its file.
  const leastBytes = dataOffset + (compression === 'none' ? decodedBytes : minHuffmanBytes(decodedBytes))
  if (leastBytes > bytes.length) throw truncated(url, leastBytes, bytes.length)
  if (compression === 'none' && leastBytes < bytes.length) {
    throw new CorruptDataError(
      `${url} is damaged: it has ${bytes.length - leastBytes} more bytes than its samples need.`,
      { url, byteOffset: leastBytes },
    )
  }
  return {
    header,
    decodedBytes,
    stored: compression === 'none' ? payload : undefined,
    streams: planStreams(payload, header, decodedBytes, bytes.length, url),
    arranged: header.order === 'F' && quantisation === undefined,
  }
}

function truncated(url: string, neededBytes: number, foundBytes: number): CorruptDataError {
  return new CorruptDataError(
    `${url} is truncated: it has ${foundBytes} bytes, and what its header promises needs at least ${neededBytes}.`,
    { url, byteOffset: foundBytes },
  )
}

function planStreams(
  payload: Uint8Array,
  { compression }: PzfHeader,
  decodedBytes: number,
  fileBytes: number,
  url: string,
): PzfPlan['streams'] {
  switch (compression) {
    case 'none':
      return []
    case 'huffman':
      return [{ input: payload, start: 0, length: decodedBytes }]
    case 'huffman-chunks':
      return planChunks(payload, decodedBytes, fileBytes, url)
  }
}

/** The number of chunks (u16), then for each its compressed and its decoded length (u32) and a Huffman stream. */
function planChunks(payload: Uint8Array, decodedBytes: number, fileBytes: number, url: string): PzfPlan['streams'] {
  const payloadOffset = fileBytes - payload.length
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const streams: PzfPlan['streams'][number][] = []
  let read = 2
  let planned = 0
  const chunks = view.getUint16(0, true)
  for (let chunk = 0; chunk < chunks; chunk++) {
    if (read + 8 > payload.length) throw truncated(url, payloadOffset + read + 8, fileBytes)
    const compressedLength = view.getUint32(read, true)
    const rawLength = view.getUint32(read + 4, true)
    read += 8
    if (read + compressedLength > payload.length)
      throw truncated(url, payloadOffset + read + compressedLength, fileBytes)
    if (rawLength === 0 || planned + rawLength > decodedBytes) {
      throw new CorruptDataError(
        `${url} is damaged: its chunk ${chunk} holds ${rawLength} bytes where ${decodedBytes - planned} are left.`,
        { url, byteOffset: payloadOffset + read },
      )
    }
    streams.push({ input: payload.subarray(read, read + compressedLength), start: planned, length: rawLength })
    read += compressedLength
    planned += rawLength
  }
  if (planned !== decodedBytes || read !== payload.length) {
    throw new CorruptDataError(
      `${url} is damaged: its ${chunks} chunks hold ${planned} of ${decodedBytes} bytes, ${payload.length - read} bytes follow.`,
      { url, byteOffset: payloadOffset + read },
    )
  }
  return streams
}

/**
 * Decode one PZF file.
 *
 * PZF has x as its first axis; the planes returned have rows first. Quantised samples are restored in float32 arithmetic
 * and cut (not rounded) to the sample type, as PYME does. Where the result does not fit into the type, which is undefined
 * in C, it saturates: with a scale above 1 the byte of the brightest counts stands for slightly more than 65,535.
 *
 * PYME decodes an empty payload to zeros; here a payload that is too short or too long is an error.
 *
 * @param bytes, url, expect as for `planPzfDecode`. Uncompressed samples may be returned as a view of the bytes.
 * @throws as `planPzfDecode`, and {CorruptDataError} where the codes are damaged.
 */
export function decodePzf(bytes: Uint8Array, url: string, expect?: (header: PzfHeader) => void): PzfFrame {
  const plan = planPzfDecode(bytes, url, expect)
  const { width, height, depth, sampleType } = plan.header
  const decoded = plan.stored ?? new Uint8Array(plan.decodedBytes)
  for (const { input, start, length } of plan.streams)
    decodeHuffman(input, decoded.subarray(start, start + length), url)
  if (plan.arranged) return { width, height, depth, sampleType, samples: samplesFromBytes(sampleType, decoded) }
  const samples = allocateSamples(sampleType, width * height * depth)
  arrangeSamples(plan.header, decoded, samples)
  return { width, height, depth, sampleType, samples }
}

/**
 * Bring a decoded payload into rows, and quantised bytes back to counts.
 *
 * @param decoded the whole payload in file order.
 * @param target width × height × depth samples of the header's type; shares no memory with `decoded`.
 */
export function arrangeSamples(header: PzfHeader, decoded: Uint8Array, target: SampleArray): void {
  const { quantisation, sampleType } = header
  if (quantisation === undefined) {
    placeRows(samplesFromBytes(sampleType, decoded), header, target)
    return
  }
  let quantised = decoded
  if (header.order === 'C') {
    quantised = new Uint8Array(decoded.length)
    placeRows(decoded, header, quantised)
  }
  const counts = countsOfBytes(quantisation, sampleType)
  for (let i = 0; i < quantised.length; i++) target[i] = counts[quantised[i]!]!
}

/** From `[x][y][z]` to `[z][y][x]`, in blocks of 32 × 32 so that both sides stay in the cache; F order is copied. */
function placeRows(stored: SampleArray, { width, height, depth, order }: PzfHeader, target: SampleArray): void {
  if (order === 'F') {
    target.set(stored)
    return
  }
  const block = 32
  const step = height * depth
  for (let z = 0; z < depth; z++) {
    for (let y0 = 0; y0 < height; y0 += block) {
      const y1 = Math.min(y0 + block, height)
      for (let x0 = 0; x0 < width; x0 += block) {
        const x1 = Math.min(x0 + block, width)
        for (let y = y0; y < y1; y++) {
          const row = (z * height + y) * width
          let from = (x0 * height + y) * depth + z
          for (let x = x0; x < x1; x++, from += step) target[row + x] = stored[from]!
        }
      }
    }
  }
}

/** The count that each quantised byte stands for. */
function countsOfBytes({ offset, scale }: { offset: number; scale: number }, sampleType: SampleType): SampleArray {
  const { integer, min, max } = SAMPLE_TYPES[sampleType]
  const counts = allocateSamples(sampleType, 256)
  for (let byte = 0; byte < 256; byte++) {
    const root = Math.fround(byte * scale)
    const count = Math.fround(Math.fround(root * root) + offset)
    counts[byte] = integer ? Math.trunc(Math.min(Math.max(count, min), max)) : count
  }
  return counts
}
