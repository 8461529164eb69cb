import { MATCH_TABLE } from './memory-map'

const TABLE_BITS: u32 = 12
/** An odd number whose multiples spread over all bits: 2^53 over the golden ratio. */
const SPREAD: u64 = 0x13c6ef372fe94f
const LEAST_MATCH: u32 = 4
const FARTHEST: u32 = 0xffff
/** The last match starts at least 12 bytes before the end, and the last 5 bytes are literals. */
const LAST_MATCH: u32 = 12
const LAST_LITERALS: u32 = 5
/** After 2^6 places without a match every second one is tried, after twice as many every third. */
const SKIP_BITS: u32 = 6

/**
 * Pack bytes as one LZ4 block.
 *
 * @param capacity bytes of the target, which stays within them.
 * @returns the length of the block, 0 if it does not fit or would leave less than 24 bytes.
 */
export function packLz4(source: u32, length: u32, target: u32, capacity: u32): u32 {
  if (length <= LAST_MATCH || capacity < 32) return 0
  memory.fill(MATCH_TABLE, 0, 4 << TABLE_BITS)
  const sourceEnd = source + length
  const lastMatch = sourceEnd - LAST_MATCH
  const matchEnd = sourceEnd - LAST_LITERALS
  const targetEnd = target + capacity
  let output = target
  let anchor = source
  let at = source + 1
  while (at <= lastMatch) {
    const four = load<u32>(at)
    const entry = entryOf(at)
    let match = source + load<u32>(entry)
    store<u32>(entry, at - source)
    if (load<u32>(match) !== four || at - match > FARTHEST) {
      at += 1 + ((at - anchor) >> SKIP_BITS)
      continue
    }
    const end = endOfMatch(at + LEAST_MATCH, match + LEAST_MATCH, matchEnd)
    while (at > anchor && match > source && load<u8>(at - 1) === load<u8>(match - 1)) {
      at--
      match--
    }
    const literals = <u32>(at - anchor)
    const more = <u32>(end - at) - LEAST_MATCH
    // Literals are copied sixteen at a time.
    if (output + literals + literals / 255 + more / 255 + 24 > targetEnd) return 0
    const token = output++
    output = putLiterals(token, output, anchor, literals)
    store<u16>(output, <u32>(at - match))
    output += 2
    store<u8>(token, load<u8>(token) | <u8>min<u32>(more, 15))
    if (more >= 15) output = putLength(output, more - 15)
    at = end
    anchor = end
    if (at <= lastMatch) store<u32>(entryOf(at - 2), at - 2 - source)
  }
  const literals = <u32>(sourceEnd - anchor)
  if (output + literals + literals / 255 + 18 > targetEnd) return 0
  const token = output++
  return <u32>(putLiterals(token, output, anchor, literals) - target)
}

/** Where the last place of the six bytes at an address is kept: short matches in noise cost more than they save. */
function entryOf(at: u32): u32 {
  return MATCH_TABLE + 4 * <u32>(((load<u64>(at) << 16) * SPREAD) >> (64 - TABLE_BITS))
}

function endOfMatch(at: u32, match: u32, end: u32): u32 {
  while (at + 16 <= end) {
    const same = i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(match)))
    if (same !== 0xffff) return at + ctz(~same)
    at += 16
    match += 16
  }
  while (at < end && load<u8>(at) === load<u8>(match)) {
    at++
    match++
  }
  return at
}

function putLiterals(token: u32, output: u32, literals: u32, count: u32): u32 {
  store<u8>(token, min<u32>(count, 15) << 4)
  if (count >= 15) output = putLength(output, count - 15)
  for (let i: u32 = 0; i < count; i += 16) v128.store(output + i, v128.load(literals + i))
  return output + count
}

function putLength(output: u32, rest: u32): u32 {
  while (rest >= 255) {
    store<u8>(output++, 255)
    rest -= 255
  }
  store<u8>(output, rest)
  return output + 1
}
