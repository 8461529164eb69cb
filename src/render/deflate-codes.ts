/**
 * Codes of deflate blocks (RFC 1951) that hold bytes and runs: by how often each symbol occurs.
 *
 * Symbols below 256 are bytes, 256 ends a block, and those above are matches of some length; here always at distance 1,
 * where they repeat the byte before.
 */

export const SYMBOLS = 286
export const END_OF_BLOCK = 256
const FIRST_MATCH = 257
const LONGEST_MATCH = 258

const MAX_CODE_BITS = 15

/** The shortest match that each symbol stands for; the bits that would lengthen it are always zero here. */
const MATCH_LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]

/** Of each symbol the length of its match. */
export const LENGTH_OF_MATCH = Uint16Array.from({ length: SYMBOLS }, (_, i) => MATCH_LENGTHS[i - FIRST_MATCH] ?? 0)

/** By the length of a run, the symbol of the longest match in it; 0 in runs below three. */
export const MATCH_OF_RUN = Uint16Array.from({ length: LONGEST_MATCH + 1 }, (_, run) =>
  run < 3 ? 0 : FIRST_MATCH + MATCH_LENGTHS.findLastIndex(length => length <= run),
)

/** Zero bits behind each code: of a match those that would lengthen it, and its distance. */
const ZEROS_BEHIND = Uint8Array.from({ length: SYMBOLS }, (_, symbol) => {
  const match = symbol - FIRST_MATCH
  if (match < 0) return 0
  const lengthening = match < 4 || symbol === SYMBOLS - 1 ? 0 : (match >> 2) - 1
  return lengthening + 1
})

/** How long each code is comes at the head of a block in codes of its own. Here they have four bits, for 0 … 15. */
const LENGTH_BITS = 4
const LENGTH_CODES = 2 ** LENGTH_BITS
/** The standard names these first: codes for repeated lengths, which are not used. */
const REPEAT_CODES = 3

/** Bits of the best code of each symbol (Huffman's), at most 15; 0 where it does not occur. */
export function codeLengths(counts: Uint32Array): Uint8Array {
  const lengths = new Uint8Array(SYMBOLS)
  // Coarser counts make a flatter tree. Few pictures need that.
  for (let shift = 0; ; shift++) {
    const leaves: number[] = []
    for (let symbol = 0; symbol < SYMBOLS; symbol++) {
      if (counts[symbol] > 0) leaves.push(Math.ceil(counts[symbol] / 2 ** shift) * SYMBOLS + symbol)
    }
    const sorted = Float64Array.from(leaves).sort()
    const depths = treeDepths(sorted.map(leaf => Math.floor(leaf / SYMBOLS)))
    if (depths[0] > MAX_CODE_BITS) continue
    for (let i = 0; i < sorted.length; i++) lengths[sorted[i] % SYMBOLS] = depths[i]
    return lengths
  }
}

/**
 * Depth of each leaf in the tree that joins the two lightest nodes until one is left.
 *
 * @param weights at least two, ascending. Joined nodes come out in ascending order too, so that the lightest node is
 *   always the next leaf or the next joined one.
 */
function treeDepths(weights: Float64Array): Uint8Array {
  const leaves = weights.length
  const nodes = new Float64Array(2 * leaves - 1)
  nodes.set(weights)
  const parents = new Uint16Array(nodes.length)
  let [leaf, joined] = [0, leaves]
  for (let node = leaves; node < nodes.length; node++) {
    for (let child = 0; child < 2; child++) {
      const lightest = leaf < leaves && (joined === node || nodes[leaf] <= nodes[joined]) ? leaf++ : joined++
      nodes[node] += nodes[lightest]
      parents[lightest] = node
    }
  }
  const depths = new Uint8Array(nodes.length)
  for (let node = nodes.length - 2; node >= 0; node--) depths[node] = depths[parents[node]] + 1
  return depths
}

/** Bits of each symbol's code, the first one lowest, times 256, plus how many they are; the zeros behind included. */
export function codesOf(lengths: Uint8Array): Uint32Array {
  const codes = new Uint32Array(SYMBOLS)
  const bits = canonicalCodes(lengths)
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    if (lengths[symbol] > 0) codes[symbol] = (bits[symbol] << 8) | (lengths[symbol] + ZEROS_BEHIND[symbol])
  }
  return codes
}

/**
 * Write what comes before the symbols of a block.
 *
 * @param bit where to begin, in bits from the start of `out`.
 * @returns the bit behind it.
 */
export function writeBlockHeader(out: Uint8Array, bit: number, lengths: Uint8Array, isLast: boolean): number {
  let at = bit
  const put = (value: number, bits: number): void => {
    at = writeBits(out, at, value, bits)
  }
  put(Number(isLast), 1)
  put(2, 2)
  put(SYMBOLS - 257, 5)
  // Two distances, as zlib has it: some decoders do not like a single code.
  put(2 - 1, 5)
  put(REPEAT_CODES + LENGTH_CODES - 4, 4)
  for (let i = 0; i < REPEAT_CODES; i++) put(0, 3)
  for (let i = 0; i < LENGTH_CODES; i++) put(LENGTH_BITS, 3)
  for (let symbol = 0; symbol < SYMBOLS; symbol++) put(reverse(lengths[symbol], LENGTH_BITS), LENGTH_BITS)
  for (let distance = 0; distance < 2; distance++) put(reverse(1, LENGTH_BITS), LENGTH_BITS)
  return at
}

/** Write at most eight bits, the first one lowest. What lies behind them in their bytes is lost. @returns the next bit. */
function writeBits(out: Uint8Array, bit: number, value: number, bits: number): number {
  const at = bit >> 3
  const filled = bit & 7
  const shifted = (out[at] & ((1 << filled) - 1)) | (value << filled)
  out[at] = shifted
  out[at + 1] = shifted >> 8
  return bit + bits
}

/** Codes of these lengths in the order that the standard prescribes, first bit lowest. */
function canonicalCodes(lengths: Uint8Array): Uint16Array {
  const perLength = new Uint16Array(MAX_CODE_BITS + 1)
  for (const length of lengths) if (length > 0) perLength[length]++
  const next = new Uint16Array(MAX_CODE_BITS + 1)
  for (let bits = 1; bits <= MAX_CODE_BITS; bits++) next[bits] = (next[bits - 1] + perLength[bits - 1]) << 1
  const codes = new Uint16Array(SYMBOLS)
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const length = lengths[symbol]
    if (length > 0) codes[symbol] = reverse(next[length]++, length)
  }
  return codes
}

function reverse(code: number, bits: number): number {
  let reversed = 0
  for (let i = 0; i < bits; i++) reversed |= ((code >> i) & 1) << (bits - 1 - i)
  return reversed
}
