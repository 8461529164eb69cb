import { packLz4 } from './lz4'
import { HIGH_PLANE } from './memory-map'

// A frame is described at src/pyramid/blosc.ts: header, offset of the only block, two planes as `length, bytes`.
const HEADER_BYTES: u32 = 16
/** Blosc format 2, LZ4 format 1, byte shuffle with LZ4, samples of 2 bytes. */
const FORMAT: u32 = 0x02210102

/** So many bytes from the middle of the low plane show whether it is worth packing. */
const PROBE_BYTES: u32 = 4096
/** Likewise a plane of which one in so many places repeats the sixteen bytes before it: part of it is flat. */
const FLAT_SHARE: u32 = 16

/**
 * Encode `length` 16-bit samples as a Blosc frame of 28 + 2 · length bytes at most.
 *
 * @returns the length of the frame.
 */
export function encodeTile(samples: u32, length: u32, frame: u32): u32 {
  const block = frame + HEADER_BYTES + 4
  const low = block + 4
  const repeats = splitPlanes(samples, length, low)
  let lowBytes = length
  if (isWorthPacking(low, length, repeats)) {
    // The high plane's place is still free.
    const packed = packLz4(low, length, low + length, length - 1)
    if (packed !== 0) {
      memory.copy(low, low + length, packed)
      lowBytes = packed
    }
  }
  store<u32>(block, lowBytes)
  const high = low + lowBytes + 4
  let highBytes = packLz4(HIGH_PLANE, length, high, length - 1)
  if (highBytes === 0) {
    memory.copy(high, HIGH_PLANE, length)
    highBytes = length
  }
  store<u32>(low + lowBytes, highBytes)
  const frameBytes = <u32>(high + highBytes - frame)
  store<u32>(frame, FORMAT)
  store<u32>(frame, 2 * length, 4)
  store<u32>(frame, 2 * length, 8)
  store<u32>(frame, frameBytes, 12)
  store<u32>(frame, HEADER_BYTES + 4, 16)
  return frameBytes
}

/** Low bytes to `low`, high bytes to HIGH_PLANE. @returns how many sixteens of low bytes are as those before them. */
function splitPlanes(samples: u32, length: u32, low: u32): u32 {
  const lowByte = i16x8.splat(0xff)
  let before = i8x16.splat(0)
  let repeats: u32 = 0
  let i: u32 = 0
  for (; i + 16 <= length; i += 16) {
    const first = v128.load(samples + 2 * i)
    const last = v128.load(samples + 2 * i, 16)
    const lows = i8x16.narrow_i16x8_u(v128.and(first, lowByte), v128.and(last, lowByte))
    v128.store(low + i, lows)
    v128.store(HIGH_PLANE + i, i8x16.narrow_i16x8_u(i16x8.shr_u(first, 8), i16x8.shr_u(last, 8)))
    repeats += u32(i8x16.all_true(i8x16.eq(lows, before)))
    before = lows
  }
  for (; i < length; i++) {
    const sample = load<u16>(samples + 2 * i)
    store<u8>(low + i, sample)
    store<u8>(HIGH_PLANE + i, sample >> 8)
  }
  return repeats
}

function isWorthPacking(low: u32, length: u32, repeats: u32): bool {
  if (repeats * FLAT_SHARE * 16 > length) return true
  if (length < 4 * PROBE_BYTES) return true
  const middle = low + ((length - PROBE_BYTES) >> 1)
  return packLz4(middle, PROBE_BYTES, low + length, PROBE_BYTES - PROBE_BYTES / FLAT_SHARE) !== 0
}
