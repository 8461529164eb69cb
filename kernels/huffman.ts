import { OPEN_BRANCHES, RECORDS, SEEN_SYMBOLS, SINGLE_LOOKUP, SLOT_A, SLOT_B } from './memory-map'

// Streams and trees are described at src/sources/pyme/huffman.ts. Decoding one stream waits for one table lookup after
// another; two independent streams in one loop wait at the same time.

/** Of a lookup: 2^12 × u32, `bits used | first symbol << 8 | second symbol << 16 | symbols found << 30`. A shift takes
 * the lowest six bits of its distance, so an entry *is* the distance to the next code. Where the first code is longer
 * than 12 bits nothing is used or found, and the bits from 8 on number its long lookup. */
const LOOKUP: u32 = 0
const LOOKUP_BITS: u32 = 12
const LOOKUP_SIZE: u32 = 1 << LOOKUP_BITS
const ONE_SYMBOL: u32 = 1 << 30
const TWO_SYMBOLS: u32 = 2 << 30

/** Of the 6 bits behind those 12: 64 × u16 each, `bits used | symbol << 8`, 0 where the code is longer still. A tree
 * has at most 128 of them; one more may have been begun when it turns out to be damaged. */
const LONG_LOOKUPS: u32 = 0x4000
const LONG_BITS: u32 = 6

/** Node n of the tree: 2 × u16 at 4n, what follows it on a 0 and on a 1, as a node or LEAF | symbol. */
const NODES: u32 = 0x8400
const MAX_NODES: u32 = 511
const LEAF: u32 = 0x8000

// The state of the stream in a slot. The highest HELD bits of WINDOW are the next ones of the stream, and what is below
// them is 0 or the bits behind them; the byte at NEXT is the first one that they do not reach.
const WINDOW: u32 = 0x8c00
const HELD: u32 = 0x8c08
const NEXT: u32 = 0x8c0c
const INPUT: u32 = 0x8c10
const INPUT_END: u32 = 0x8c14
const OUTPUT: u32 = 0x8c18
const OUTPUT_END: u32 = 0x8c1c
const RECORD: u32 = 0x8c20

/** A record: where the input lies and its length, the same of the output. The input's place is replaced by 1 or 0:
 * whether the stream was decoded. */
const RECORD_BYTES: u32 = 16

/** A round refills the window, reading eight bytes and moving on by seven at most, and then makes four lookups, of two
 * symbols at most; a long code may follow. What no whole round can decode is decoded bit by bit. */
const ROUND_INPUT: i32 = 8
const ROUND_OUTPUT: i32 = 9

let nextRecord: u32 = 0
let recordsEnd: u32 = 0

/** Decode `count` streams. Every input is followed by 8 bytes that may be read. */
export function decodeHuffman(count: u32): void {
  nextRecord = RECORDS
  recordsEnd = RECORDS + count * RECORD_BYTES
  let a = begin(SLOT_A)
  let b = begin(SLOT_B)
  while (a && b) {
    decodeBoth()
    if (isNearEnd(SLOT_A)) {
      finish(SLOT_A)
      a = begin(SLOT_A)
    }
    if (isNearEnd(SLOT_B)) {
      finish(SLOT_B)
      b = begin(SLOT_B)
    }
  }
  if (a) {
    decodeAlone(SLOT_A)
    finish(SLOT_A)
  }
  if (b) {
    decodeAlone(SLOT_B)
    finish(SLOT_B)
  }
}

/** Put the next stream into a slot. Streams that are done with their tree are answered on the way. */
function begin(slot: u32): bool {
  while (nextRecord < recordsEnd) {
    const record = nextRecord
    nextRecord += RECORD_BYTES
    const input = load<u32>(record)
    const inputBytes = load<u32>(record, 4)
    const output = load<u32>(record, 8)
    const outputBytes = load<u32>(record, 12)
    const bits = readTree(slot, input, inputBytes)
    if (bits === 0) {
      store<u32>(record, 0)
    } else if (bits === 9) {
      // A tree of one leaf has a code of no bits. The encoder pads it to one 0 bit a symbol.
      memory.fill(output, load<u8>(SEEN_SYMBOLS), outputBytes)
      store<u32>(record, u32(endsRightly(input, inputBytes, <u64>bits + outputBytes)))
    } else {
      pairSymbols(slot)
      store<u32>(slot, input, INPUT)
      store<u32>(slot, input + inputBytes, INPUT_END)
      store<u32>(slot, output, OUTPUT)
      store<u32>(slot, output + outputBytes, OUTPUT_END)
      store<u32>(slot, record, RECORD)
      moveTo(slot, bits)
      return true
    }
  }
  return false
}

function moveTo(slot: u32, bit: u32): void {
  const at = load<u32>(slot, INPUT) + (bit >> 3)
  store<u64>(slot, (<u64>load<u8>(at)) << (56 + (bit & 7)), WINDOW)
  store<u32>(slot, 8 - (bit & 7), HELD)
  store<u32>(slot, at + 1, NEXT)
}

function position(slot: u32): u32 {
  return (load<u32>(slot, NEXT) - load<u32>(slot, INPUT)) * 8 - load<u32>(slot, HELD)
}

/** How many rounds may be made before a stream's end is looked for again; 0 or less near the end. */
function roundsLeft(next: u32, inputEnd: u32, output: u32, outputEnd: u32): i32 {
  return min(<i32>(inputEnd + ROUND_INPUT - next) / ROUND_INPUT, <i32>(outputEnd - output) / ROUND_OUTPUT)
}

function isNearEnd(slot: u32): bool {
  const next = load<u32>(slot, NEXT)
  const output = load<u32>(slot, OUTPUT)
  return roundsLeft(next, load<u32>(slot, INPUT_END), output, load<u32>(slot, OUTPUT_END)) <= 0
}

/** Decode what is left of a slot's stream, and say whether it was a good one. */
function finish(slot: u32): void {
  let good = true
  while (good && load<u32>(slot, OUTPUT) < load<u32>(slot, OUTPUT_END)) good = decodeBitwise(slot)
  const input = load<u32>(slot, INPUT)
  const inputBytes = load<u32>(slot, INPUT_END) - input
  store<u32>(load<u32>(slot, RECORD), u32(good && endsRightly(input, inputBytes, position(slot))))
}

/** Behind the codes there may be only the zeros that fill the last byte. */
function endsRightly(input: u32, inputBytes: u32, usedBits: u64): bool {
  if ((usedBits + 7) >> 3 !== inputBytes) return false
  const padding = <u32>(<u64>inputBytes * 8 - usedBits)
  return (load<u8>(input + inputBytes - 1) & ((1 << padding) - 1)) === 0
}

/** Decode one symbol without looking beyond the input. @returns false where the input ends, now and ever after. */
function decodeBitwise(slot: u32): bool {
  const input = load<u32>(slot, INPUT)
  const end = (load<u32>(slot, INPUT_END) - input) * 8
  let bit = position(slot)
  let node: u32 = 0
  do {
    if (bit >= end) {
      store<u32>(slot, load<u32>(slot, INPUT_END) + 1, NEXT)
      store<u32>(slot, 0, HELD)
      return false
    }
    const side = (<u32>load<u8>(input + (bit >> 3)) >> (7 - (bit & 7))) & 1
    node = load<u16>(slot + 4 * node + 2 * side, NODES)
    bit++
  } while ((node & LEAF) === 0)
  const output = load<u32>(slot, OUTPUT)
  store<u8>(output, node)
  store<u32>(slot, output + 1, OUTPUT)
  moveTo(slot, bit)
  return true
}

/**
 * Read a tree into a slot's nodes and long lookups and into SINGLE_LOOKUP. In pre-order the codes ascend, so all of
 * them are filled from front to back.
 *
 * @returns its length in bits, 0 if it is damaged. The first symbol of a tree of one leaf is at SEEN_SYMBOLS.
 */
function readTree(slot: u32, input: u32, inputBytes: u32): u32 {
  const end = inputBytes * 8
  memory.fill(SEEN_SYMBOLS, 0, 256)
  let bit: u32 = 0
  let nodes: u32 = 0
  let lookup = SINGLE_LOOKUP
  let long = slot + LONG_LOOKUPS
  // A branch: its place among the nodes | its depth << 16. The root has none.
  let open = OPEN_BRANCHES
  let place: u32 = 0
  let depth: u32 = 0
  while (nodes < MAX_NODES) {
    if (bit >= end) return 0
    const isLeaf = (<u32>load<u8>(input + (bit >> 3)) >> (7 - (bit & 7))) & 1
    bit++
    if (isLeaf) {
      if (bit + 8 > end) return 0
      // The second byte may lie behind the input where the symbol fills the first.
      const both = ((<u32>load<u8>(input + (bit >> 3))) << 8) | load<u8>(input + (bit >> 3) + 1)
      const symbol = (both >> (8 - (bit & 7))) & 0xff
      bit += 8
      if (depth === 0) {
        store<u8>(SEEN_SYMBOLS, symbol)
        return bit
      }
      if (load<u8>(symbol, SEEN_SYMBOLS)) return 0
      store<u8>(symbol, 1, SEEN_SYMBOLS)
      store<u16>(slot + place, LEAF | symbol, NODES)
      if (depth <= LOOKUP_BITS) {
        const after = lookup + (4 << (LOOKUP_BITS - depth))
        for (; lookup < after; lookup += 4) store<u32>(lookup, depth | (symbol << 8) | ONE_SYMBOL)
      } else if (depth <= LOOKUP_BITS + LONG_BITS) {
        const after = long + (2 << (LOOKUP_BITS + LONG_BITS - depth))
        for (; long < after; long += 2) store<u16>(long, depth | (symbol << 8))
      }
    } else {
      if (depth > 0) store<u16>(slot + place, nodes, NODES)
      if (depth === LOOKUP_BITS) {
        store<u32>(lookup, ((long - slot - LONG_LOOKUPS) >> (LONG_BITS + 1)) << 8)
        lookup += 4
      } else if (depth === LOOKUP_BITS + LONG_BITS) {
        store<u16>(long, 0)
        long += 2
      }
      depth++
      store<u32>(open, (4 * nodes + 2) | (depth << 16))
      store<u32>(open, (4 * nodes) | (depth << 16), 4)
      open += 8
    }
    nodes++
    if (open === OPEN_BRANCHES) return bit
    open -= 4
    place = load<u32>(open) & 0xffff
    depth = load<u32>(open) >> 16
  }
  return 0
}

/** Make a slot's lookup: the single symbols, and behind each the second one where its code ends within the 12 bits. */
function pairSymbols(slot: u32): void {
  for (let i: u32 = 0; i < LOOKUP_SIZE; i++) {
    const first = load<u32>(4 * i, SINGLE_LOOKUP)
    const second = load<u32>(4 * ((i << (first & 63)) & (LOOKUP_SIZE - 1)), SINGLE_LOOKUP)
    const bits = (first & 63) + (second & 63)
    const pair = bits | (first & 0xff00) | ((second & 0xff00) << 8) | TWO_SYMBOLS
    store<u32>(slot + 4 * i, first >= ONE_SYMBOL && second >= ONE_SYMBOL && bits <= LOOKUP_BITS ? pair : first)
  }
}

/** The eight bytes at an address as a number, the first one highest. */
function loadBigEndian(at: u32): u64 {
  return i64x2.extract_lane(
    i8x16.swizzle(v128.load64_zero(at), i8x16(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)),
    0,
  )
}

/** Decode the streams of both slots until one of them is near its end. */
function decodeBoth(): void {
  let windowA = load<u64>(SLOT_A, WINDOW)
  let heldA = load<u32>(SLOT_A, HELD)
  let nextA: u32 = load<u32>(SLOT_A, NEXT)
  let outputA: u32 = load<u32>(SLOT_A, OUTPUT)
  const inputEndA: u32 = load<u32>(SLOT_A, INPUT_END)
  const outputEndA: u32 = load<u32>(SLOT_A, OUTPUT_END)
  let windowB = load<u64>(SLOT_B, WINDOW)
  let heldB = load<u32>(SLOT_B, HELD)
  let nextB: u32 = load<u32>(SLOT_B, NEXT)
  let outputB: u32 = load<u32>(SLOT_B, OUTPUT)
  const inputEndB: u32 = load<u32>(SLOT_B, INPUT_END)
  const outputEndB: u32 = load<u32>(SLOT_B, OUTPUT_END)
  for (;;) {
    let rounds = min(
      roundsLeft(nextA, inputEndA, outputA, outputEndA),
      roundsLeft(nextB, inputEndB, outputB, outputEndB),
    )
    if (rounds <= 0) break
    do {
      // As many bytes as fit above the lowest bit; the rest of the eight are read again by the next round.
      windowA |= loadBigEndian(nextA) >> heldA
      nextA += (63 - heldA) >> 3
      heldA |= 56
      windowB |= loadBigEndian(nextB) >> heldB
      nextB += (63 - heldB) >> 3
      heldB |= 56

      const a1 = load<u32>(<u32>(windowA >> 50) & 0x3ffc, SLOT_A + LOOKUP)
      const b1 = load<u32>(<u32>(windowB >> 50) & 0x3ffc, SLOT_B + LOOKUP)
      store<u16>(outputA, a1 >> 8)
      store<u16>(outputB, b1 >> 8)
      windowA <<= <u64>a1
      windowB <<= <u64>b1
      outputA += a1 >> 30
      outputB += b1 >> 30

      const a2 = load<u32>(<u32>(windowA >> 50) & 0x3ffc, SLOT_A + LOOKUP)
      const b2 = load<u32>(<u32>(windowB >> 50) & 0x3ffc, SLOT_B + LOOKUP)
      store<u16>(outputA, a2 >> 8)
      store<u16>(outputB, b2 >> 8)
      windowA <<= <u64>a2
      windowB <<= <u64>b2
      outputA += a2 >> 30
      outputB += b2 >> 30

      const a3 = load<u32>(<u32>(windowA >> 50) & 0x3ffc, SLOT_A + LOOKUP)
      const b3 = load<u32>(<u32>(windowB >> 50) & 0x3ffc, SLOT_B + LOOKUP)
      store<u16>(outputA, a3 >> 8)
      store<u16>(outputB, b3 >> 8)
      windowA <<= <u64>a3
      windowB <<= <u64>b3
      outputA += a3 >> 30
      outputB += b3 >> 30

      const a4 = load<u32>(<u32>(windowA >> 50) & 0x3ffc, SLOT_A + LOOKUP)
      const b4 = load<u32>(<u32>(windowB >> 50) & 0x3ffc, SLOT_B + LOOKUP)
      store<u16>(outputA, a4 >> 8)
      store<u16>(outputB, b4 >> 8)
      windowA <<= <u64>a4
      windowB <<= <u64>b4
      outputA += a4 >> 30
      outputB += b4 >> 30

      heldA -= (a1 + a2 + a3 + a4) & 63
      heldB -= (b1 + b2 + b3 + b4) & 63

      // A long code uses no bits: once met, it is what all further lookups of the round find.
      if (a4 < ONE_SYMBOL) {
        const long = load<u16>(SLOT_A + ((a4 >> 8) << 7) + (<u32>(windowA >> 45) & 0x7e), LONG_LOOKUPS)
        if (long !== 0) {
          store<u8>(outputA, long >> 8)
          outputA++
          windowA <<= <u64>long
          heldA -= long & 63
        } else {
          store<u64>(SLOT_A, windowA, WINDOW)
          store<u32>(SLOT_A, heldA, HELD)
          store<u32>(SLOT_A, nextA, NEXT)
          store<u32>(SLOT_A, outputA, OUTPUT)
          decodeBitwise(SLOT_A)
          rounds = 1
          windowA = load<u64>(SLOT_A, WINDOW)
          heldA = load<u32>(SLOT_A, HELD)
          nextA = load<u32>(SLOT_A, NEXT)
          outputA = load<u32>(SLOT_A, OUTPUT)
        }
      }
      if (b4 < ONE_SYMBOL) {
        const long = load<u16>(SLOT_B + ((b4 >> 8) << 7) + (<u32>(windowB >> 45) & 0x7e), LONG_LOOKUPS)
        if (long !== 0) {
          store<u8>(outputB, long >> 8)
          outputB++
          windowB <<= <u64>long
          heldB -= long & 63
        } else {
          store<u64>(SLOT_B, windowB, WINDOW)
          store<u32>(SLOT_B, heldB, HELD)
          store<u32>(SLOT_B, nextB, NEXT)
          store<u32>(SLOT_B, outputB, OUTPUT)
          decodeBitwise(SLOT_B)
          rounds = 1
          windowB = load<u64>(SLOT_B, WINDOW)
          heldB = load<u32>(SLOT_B, HELD)
          nextB = load<u32>(SLOT_B, NEXT)
          outputB = load<u32>(SLOT_B, OUTPUT)
        }
      }
    } while (--rounds > 0)
  }
  store<u64>(SLOT_A, windowA, WINDOW)
  store<u32>(SLOT_A, heldA, HELD)
  store<u32>(SLOT_A, nextA, NEXT)
  store<u32>(SLOT_A, outputA, OUTPUT)
  store<u64>(SLOT_B, windowB, WINDOW)
  store<u32>(SLOT_B, heldB, HELD)
  store<u32>(SLOT_B, nextB, NEXT)
  store<u32>(SLOT_B, outputB, OUTPUT)
}

/** The same for one slot, when no other stream is left. */
function decodeAlone(slot: u32): void {
  let window = load<u64>(slot, WINDOW)
  let held = load<u32>(slot, HELD)
  let next: u32 = load<u32>(slot, NEXT)
  let output: u32 = load<u32>(slot, OUTPUT)
  const inputEnd: u32 = load<u32>(slot, INPUT_END)
  const outputEnd: u32 = load<u32>(slot, OUTPUT_END)
  for (;;) {
    let rounds = roundsLeft(next, inputEnd, output, outputEnd)
    if (rounds <= 0) break
    do {
      window |= loadBigEndian(next) >> held
      next += (63 - held) >> 3
      held |= 56

      const first = load<u32>(slot + (<u32>(window >> 50) & 0x3ffc), LOOKUP)
      store<u16>(output, first >> 8)
      window <<= <u64>first
      output += first >> 30
      const second = load<u32>(slot + (<u32>(window >> 50) & 0x3ffc), LOOKUP)
      store<u16>(output, second >> 8)
      window <<= <u64>second
      output += second >> 30
      const third = load<u32>(slot + (<u32>(window >> 50) & 0x3ffc), LOOKUP)
      store<u16>(output, third >> 8)
      window <<= <u64>third
      output += third >> 30
      const fourth = load<u32>(slot + (<u32>(window >> 50) & 0x3ffc), LOOKUP)
      store<u16>(output, fourth >> 8)
      window <<= <u64>fourth
      output += fourth >> 30
      held -= (first + second + third + fourth) & 63

      if (fourth < ONE_SYMBOL) {
        const long = load<u16>(slot + ((fourth >> 8) << 7) + (<u32>(window >> 45) & 0x7e), LONG_LOOKUPS)
        if (long !== 0) {
          store<u8>(output, long >> 8)
          output++
          window <<= <u64>long
          held -= long & 63
        } else {
          store<u64>(slot, window, WINDOW)
          store<u32>(slot, held, HELD)
          store<u32>(slot, next, NEXT)
          store<u32>(slot, output, OUTPUT)
          decodeBitwise(slot)
          rounds = 1
          window = load<u64>(slot, WINDOW)
          held = load<u32>(slot, HELD)
          next = load<u32>(slot, NEXT)
          output = load<u32>(slot, OUTPUT)
        }
      }
    } while (--rounds > 0)
  }
  store<u64>(slot, window, WINDOW)
  store<u32>(slot, held, HELD)
  store<u32>(slot, next, NEXT)
  store<u32>(slot, output, OUTPUT)
}
