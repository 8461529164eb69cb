/**
 * The two loops of a deflate block (RFC 1951) of bytes and runs: find the symbols, and write their codes. The codes
 * themselves are made in between, by src/render/deflate.ts.
 */

/** Bytes looked at together. A shorter run is left alone: where bytes repeat often their codes are short. */
const STRIDE: u32 = 16
const SHORTEST_MATCH: u32 = 3
const LONGEST_MATCH: u32 = 258

/**
 * Symbols of bytes: the bytes themselves, and for runs matches at distance 1.
 *
 * @param symbols room for `length` × u16.
 * @param counts 286 × u32; the count of each symbol is increased.
 * @param matchOfRun 259 × u16: the symbol of the longest match that fits into a run.
 * @param lengthOfMatch 286 × u16: its length.
 * @returns how many symbols there are.
 */
export function findSymbols(
  bytes: u32,
  length: u32,
  symbols: u32,
  counts: u32,
  matchOfRun: u32,
  lengthOfMatch: u32,
): u32 {
  const end = bytes + length
  let to = symbols
  for (let at = bytes; at < end; ) {
    if (at > bytes && at + STRIDE <= end && repeatsByteBefore(at)) {
      const byte = <u32>load<u8>(at)
      let runEnd = at + STRIDE
      while (runEnd < end && load<u8>(runEnd) === byte) runEnd++
      while (at + SHORTEST_MATCH <= runEnd) {
        const match = <u32>load<u16>(matchOfRun + 2 * min(runEnd - at, LONGEST_MATCH))
        to = put(match, to, counts)
        at += load<u16>(lengthOfMatch + 2 * match)
      }
    }
    const stop = min(end, at + STRIDE)
    for (; at < stop; at++) to = put(load<u8>(at), to, counts)
  }
  return (to - symbols) >> 1
}

/** Whether all bytes of a stride are as the one before them. */
function repeatsByteBefore(at: u32): bool {
  return i8x16.all_true(i8x16.eq(v128.load(at), v128.load(at - 1)))
}

function put(symbol: u32, to: u32, counts: u32): u32 {
  store<u16>(to, symbol)
  const count = counts + 4 * symbol
  store<u32>(count, load<u32>(count) + 1)
  return to + 2
}

/**
 * Write the codes of symbols.
 *
 * @param codes 286 × u32: the bits of a code from bit 8 on, and how many there are, at most 24.
 * @param bit where to begin, in bits from `out` on; what lies before stays. Up to eight bytes behind the end are written to.
 * @returns the bit behind the last one.
 */
export function writeCodes(symbols: u32, count: u32, codes: u32, out: u32, bit: u32): u32 {
  let to = out + (bit >> 3)
  let filled: u64 = bit & 7
  let bits: u64 = <u64>load<u8>(to) & (((<u64>1) << filled) - 1)
  const end = symbols + 2 * count
  let at = symbols
  // Two at a time: their codes are put together while the ones before are still on their way.
  for (; at + 4 <= end; at += 4) {
    const first = <u64>load<u32>(codes + 4 * <u32>load<u16>(at))
    const second = <u64>load<u32>(codes + 4 * <u32>load<u16>(at, 2))
    bits |= ((first >> 8) | ((second >> 8) << (first & 0xff))) << filled
    filled += (first & 0xff) + (second & 0xff)
    store<u64>(to, bits)
    to += <u32>(filled >> 3)
    bits >>= filled & ~(<u64>7)
    filled &= 7
  }
  if (at < end) {
    const last = <u64>load<u32>(codes + 4 * <u32>load<u16>(at))
    bits |= (last >> 8) << filled
    filled += last & 0xff
    store<u64>(to, bits)
  }
  return 8 * (to - out) + <u32>filled
}

/** Largest number of bytes whose sums stay below 2³². */
const SUM_BYTES: u32 = 5552
const ADLER_MODULUS: u32 = 65521

/** Adler-32 checksum (RFC 1950) of bytes and of those before, whose checksum is `sum`; 1 of none. */
export function adler32(bytes: u32, length: u32, sum: u32): u32 {
  let low = sum & 0xffff
  let high = sum >> 16
  const end = bytes + length
  for (let at = bytes; at < end; ) {
    const stop = min(end, at + SUM_BYTES)
    for (; at < stop; at++) {
      low += load<u8>(at)
      high += low
    }
    low %= ADLER_MODULUS
    high %= ADLER_MODULUS
  }
  return (high << 16) | low
}
