import { compressSync } from 'lz4-napi'
import { CorruptDataError, UnsupportedDataError } from '../errors.js'
import type { Kernels } from '../kernels/kernels.js'
import { compileKernels, createKernels } from '../kernels/wasm.js'

/**
 * Blosc-1 frames with byte shuffle and LZ4, the chunk codec of our arrays.
 *
 * A frame is a 16-byte header, the offset of its only block, and one stream per byte plane ("split"): shuffling puts
 * the first bytes of all samples together, then the second ones, and each plane is stored as `length, bytes` — as
 * LZ4 where that is smaller, else as it is. Camera noise fills the low plane, so it is often stored raw; the high
 * plane shrinks to a few per cent.
 *
 * @see https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
 */
const HEADER_BYTES = 16
const FORMAT_VERSION = 2
const LZ4_FORMAT_VERSION = 1
const FLAG_SHUFFLE = 0x01
const FLAG_MEMCPY = 0x02
const FLAG_BIT_SHUFFLE = 0x04
const FLAG_UNSPLIT = 0x10
const LZ4_CODE = 1

/** Arrays of the kernels begin at multiples of it. */
const ALIGNMENT = 16

/** Bytes that `encodeBlosc` needs at most for `length` bytes of samples of `typeSize` bytes. */
export function largestFrame(length: number, typeSize: number): number {
  return HEADER_BYTES + 4 + 4 * typeSize + length
}

/**
 * @param bytes the samples, little endian; a whole number of them.
 * @param typeSize bytes of one sample: 1, 2, 4 or 8.
 */
export function encodeBlosc(bytes: Uint8Array, typeSize: number): Uint8Array {
  const planeLength = bytes.length / typeSize
  const frame = Buffer.allocUnsafe(largestFrame(bytes.length, typeSize))
  let end = HEADER_BYTES + 4
  for (let plane = 0; plane < typeSize; plane++) {
    const shuffled = Buffer.allocUnsafe(planeLength)
    for (let i = 0, from = plane; i < planeLength; i++, from += typeSize) shuffled[i] = bytes[from]
    // lz4-napi puts the length in front of the block; Blosc has its own.
    const packed = compressSync(shuffled).subarray(4)
    const stored = packed.length < planeLength ? packed : shuffled
    frame.writeInt32LE(stored.length, end)
    frame.set(stored, end + 4)
    end += 4 + stored.length
  }
  frame[0] = FORMAT_VERSION
  frame[1] = LZ4_FORMAT_VERSION
  frame[2] = (typeSize > 1 ? FLAG_SHUFFLE : 0) | (LZ4_CODE << 5)
  frame[3] = typeSize
  frame.writeUInt32LE(bytes.length, 4)
  frame.writeUInt32LE(bytes.length, 8)
  frame.writeUInt32LE(end, 12)
  frame.writeUInt32LE(HEADER_BYTES + 4, HEADER_BYTES)
  return frame.subarray(0, end)
}

/** Memory of the kernels in which frames are decoded; every thread has its own. */
interface Workspace {
  readonly kernels: Kernels
  /** One stream as it is stored. */
  readonly packed: Uint8Array
  /** One block, unpacked. */
  readonly planes: Uint8Array
  readonly samples: Uint8Array
}

let workspace: Workspace | undefined

/** @param bytes of the samples of a chunk: the largest so far decides how much memory is kept. */
function workspaceFor(bytes: number): Workspace {
  if (workspace === undefined || workspace.samples.length < bytes) {
    const kernels = createKernels(compileKernels(), 3 * (bytes + ALIGNMENT))
    workspace = {
      kernels,
      packed: kernels.allocate(bytes),
      planes: kernels.allocate(bytes),
      samples: kernels.allocate(bytes),
    }
  }
  return workspace
}

/**
 * Decode a frame as `encodeBlosc` writes them; other writers' block sizes and memcpy frames are understood too.
 *
 * @param expectedBytes what the chunk must hold. Memory is taken for this, never for what the frame says.
 * @param url where the frame comes from, for the messages.
 * @throws {CorruptDataError} the frame contradicts itself or `expectedBytes`.
 * @throws {UnsupportedDataError} another compressor, or bit shuffle.
 */
export function decodeBlosc(frame: Uint8Array, expectedBytes: number, typeSize: number, url: string): Uint8Array {
  const damaged = (what: string): CorruptDataError =>
    new CorruptDataError(`${url} holds a damaged chunk: ${what}.`, { url })
  if (frame.length < HEADER_BYTES) throw damaged(`${frame.length} bytes are shorter than a Blosc header`)
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const flags = frame[2]
  const length = view.getUint32(4, true)
  const blockSize = view.getUint32(8, true)
  if (frame[0] > FORMAT_VERSION || frame[0] === 0) throw damaged(`Blosc version ${frame[0]}`)
  if (length !== expectedBytes) throw damaged(`it holds ${length} bytes where ${expectedBytes} are expected`)
  if (frame[3] !== typeSize) throw damaged(`samples of ${frame[3]} bytes where ${typeSize} are expected`)
  if (view.getUint32(12, true) !== frame.length) throw damaged('its length is not the one in its header')
  if (flags & FLAG_MEMCPY) {
    if (frame.length !== HEADER_BYTES + length) throw damaged('a stored chunk of the wrong length')
    return frame.slice(HEADER_BYTES)
  }
  if (flags >> 5 !== LZ4_CODE || flags & FLAG_BIT_SHUFFLE) {
    throw new UnsupportedDataError(`${url} holds a Blosc chunk that is not LZ4 with byte shuffle; only that is read.`, {
      url,
    })
  }
  if (blockSize === 0 || blockSize > length) throw damaged(`a block size of ${blockSize} bytes`)
  const blocks = Math.ceil(length / blockSize)
  if (HEADER_BYTES + 4 * blocks > frame.length) throw damaged('its block table is cut off')
  const { kernels, packed, planes, samples } = workspaceFor(length)
  for (let block = 0; block < blocks; block++) {
    const start = block * blockSize
    const size = Math.min(blockSize, length - start)
    // A last block that is shorter than the others is never split.
    const streams = !(flags & FLAG_UNSPLIT) && typeSize > 1 && size === blockSize ? typeSize : 1
    const streamLength = size / streams
    if (!Number.isInteger(streamLength)) throw damaged('a block that is no whole number of samples')
    let at = view.getUint32(HEADER_BYTES + 4 * block, true)
    for (let stream = 0; stream < streams; stream++) {
      if (at + 4 > frame.length) throw damaged('a stream that starts beyond its end')
      const stored = view.getInt32(at, true)
      at += 4
      if (stored < 0 || at + stored > frame.length) throw damaged('a stream that reaches beyond its end')
      if (stored > streamLength) throw damaged('a stream that is longer than what it holds')
      const bytes = frame.subarray(at, at + stored)
      const plane = planes.subarray(stream * streamLength, (stream + 1) * streamLength)
      at += stored
      if (stored === streamLength) {
        plane.set(bytes)
        continue
      }
      packed.set(bytes)
      if (!kernels.unpackLz4(packed.subarray(0, stored), plane)) throw damaged('an LZ4 stream that cannot be unpacked')
    }
    const shuffled = planes.subarray(0, size)
    const out = samples.subarray(start, start + size)
    if (!(flags & FLAG_SHUFFLE) || typeSize === 1) {
      out.set(shuffled)
      continue
    }
    // Bytes beyond the last whole sample stay where they are, as c-blosc has it.
    const whole = size - (size % typeSize)
    kernels.unshuffle(shuffled.subarray(0, whole), typeSize, out.subarray(0, whole))
    out.set(shuffled.subarray(whole), whole)
  }
  // All of it is written to, so it need not be cleared first.
  const decoded = Buffer.allocUnsafeSlow(length)
  decoded.set(samples.subarray(0, length))
  return decoded
}
