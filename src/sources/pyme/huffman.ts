import { CorruptDataError } from '../../errors.js'

/**
 * The two codes of a camera count (a low byte of about 7 bits, a high byte of about 1) mostly fit into 12 bits; wider
 * tables lose in cache what they save in lookups.
 */
const LOOKUP_BITS = 12
const LOOKUP_SIZE = 1 << LOOKUP_BITS

/** A tree over bytes has at most one leaf a symbol, and one inner node less. */
const MAX_LEAVES = 256
const MAX_NODES = 2 * MAX_LEAVES - 1

/** The tree of one stream, its nodes in the order in which the file lists them: node 0 is the root. */
interface HuffmanTree {
  /** Length = 2 × nodes. The children of inner node n are at 2n (bit 0) and 2n + 1 (bit 1). 0 for a leaf. */
  readonly children: Uint16Array
  /** Length = nodes. The byte that a leaf stands for, −1 for an inner node. */
  readonly symbols: Int16Array
  /** Where the codes begin, in bits from the start of the stream. */
  readonly bits: number
}

/**
 * Fewest bytes in which `symbolCount` symbols can be written: a tree of one leaf (9 bits), then a bit a symbol.
 * Anything shorter is truncated, so that memory can be refused before it is taken.
 */
export function minHuffmanBytes(symbolCount: number): number {
  return Math.ceil((9 + symbolCount) / 8)
}

/**
 * Decode one Huffman stream as pymecompress writes it: the tree in pre-order, then the codes, most significant bit
 * first, then zeros up to the next whole byte.
 *
 * @param input the whole stream and nothing else.
 * @param output filled to its end; its length is the number of symbols.
 * @param url where the bytes come from, for the messages.
 * @throws {CorruptDataError} the tree is damaged, or the codes do not end in the last byte of `input`.
 */
export function decodeHuffman(input: Uint8Array, output: Uint8Array, url: string): void {
  const tree = readTree(input, url)
  if (tree.symbols[0]! >= 0) {
    // A tree of one leaf has a code of no bits. The encoder pads it to one 0 bit a symbol.
    output.fill(tree.symbols[0]!)
    expectEnd(input, tree.bits + output.length, url)
    return
  }
  const { children, symbols } = tree
  const lookup = buildLookup(tree)
  // The lowest `held` bits of `window` are read and not yet used; the codes begin right behind the tree, within a byte.
  let next = Math.ceil(tree.bits / 8)
  let held = next * 8 - tree.bits
  let window = input[next - 1]!
  let written = 0
  while (written < output.length) {
    if (held < 16 && next + 1 < input.length) {
      window = (window << 16) | (input[next]! << 8) | input[next + 1]!
      next += 2
      held += 16
    }
    if (held >= LOOKUP_BITS && written + 1 < output.length) {
      const entry = lookup[(window >>> (held - LOOKUP_BITS)) & (LOOKUP_SIZE - 1)]!
      const found = entry >>> 24
      if (found !== 0) {
        // Where only one symbol was found the second write is overwritten by the next.
        output[written] = entry >>> 8
        output[written + 1] = entry >>> 16
        written += found
        held -= entry & 0xff
        continue
      }
    }
    // A code longer than the lookup, or the end of input or output: bit by bit.
    let node = 0
    while (symbols[node]! < 0) {
      if (held === 0) {
        if (next === input.length) {
          throw new CorruptDataError(
            `${url} is truncated: its compressed samples end after ${written} of ${output.length} bytes.`,
            { url, byteOffset: next },
          )
        }
        window = input[next++]!
        held = 8
      }
      held--
      node = children[2 * node + ((window >>> held) & 1)]!
    }
    output[written++] = symbols[node]!
  }
  expectEnd(input, next * 8 - held, url)
}

/** Behind the codes there may be only the zeros that fill the last byte: all else is truncation, garbage or damage. */
function expectEnd(input: Uint8Array, usedBits: number, url: string): void {
  const usedBytes = Math.ceil(usedBits / 8)
  const paddingBits = usedBytes * 8 - usedBits
  const padded = paddingBits === 0 || (input[usedBytes - 1]! & ((1 << paddingBits) - 1)) === 0
  if (usedBytes === input.length && padded) return
  const found =
    usedBytes < input.length
      ? `${input.length - usedBytes} more bytes than its samples need`
      : 'samples that do not end where its compressed bytes end'
  throw new CorruptDataError(`${url} is damaged: it has ${found}.`, { url, byteOffset: usedBytes })
}

function readTree(input: Uint8Array, url: string): HuffmanTree {
  const children = new Uint16Array(2 * MAX_NODES)
  const symbols = new Int16Array(MAX_NODES).fill(-1)
  const damaged = (what: string) =>
    new CorruptDataError(`${url} is damaged: the tree of its Huffman codes ${what}.`, { url })
  let bits = 0
  const readBits = (count: number): number => {
    if (bits + count > input.length * 8) throw damaged('is cut off')
    let value = 0
    for (const end = bits + count; bits < end; bits++)
      value = (value << 1) | ((input[bits >>> 3]! >>> (7 - (bits & 7))) & 1)
    return value
  }
  const seen = new Uint8Array(256)
  // Slots of `children` that still wait for their node, the next one on top.
  const open: number[] = []
  let nodes = 0
  do {
    if (nodes === MAX_NODES) throw damaged(`has more than ${MAX_LEAVES} leaves`)
    const node = nodes++
    const slot = open.pop()
    if (slot !== undefined) children[slot] = node
    if (readBits(1) === 0) {
      open.push(2 * node + 1, 2 * node)
    } else {
      const symbol = readBits(8)
      if (seen[symbol]) throw damaged(`lists the byte ${symbol} twice`)
      seen[symbol] = 1
      symbols[node] = symbol
    }
  } while (open.length > 0)
  return { children, symbols, bits }
}

/**
 * For every combination of the next 12 bits, the one or two symbols that it starts with, packed as
 * `bits used | first << 8 | second << 16 | symbols found << 24`. 0 where the first code is longer than 12 bits.
 */
function buildLookup({ children, symbols }: HuffmanTree): Uint32Array {
  const single = new Uint32Array(LOOKUP_SIZE)
  // Depth first: a node at depth d owns the 2^(12 − d) combinations that begin with its code.
  const nodes = [0]
  const codes = [0]
  const depths = [0]
  while (nodes.length > 0) {
    const node = nodes.pop()!
    const code = codes.pop()!
    const depth = depths.pop()!
    if (symbols[node]! >= 0) {
      const span = LOOKUP_BITS - depth
      single.fill(depth | (symbols[node]! << 8) | (1 << 24), code << span, (code + 1) << span)
    } else if (depth < LOOKUP_BITS) {
      nodes.push(children[2 * node]!, children[2 * node + 1]!)
      codes.push(2 * code, 2 * code + 1)
      depths.push(depth + 1, depth + 1)
    }
  }
  const lookup = new Uint32Array(LOOKUP_SIZE)
  for (let i = 0; i < LOOKUP_SIZE; i++) {
    const first = single[i]!
    const firstBits = first & 0xff
    const second = single[(i << firstBits) & (LOOKUP_SIZE - 1)]!
    const bits = firstBits + (second & 0xff)
    // The zeros shifted in are not input: a second code counts only where it ends within the 12 bits.
    const pair = first !== 0 && second !== 0 && bits <= LOOKUP_BITS
    lookup[i] = pair ? bits | (first & 0xff00) | ((second & 0xff00) << 8) | (2 << 24) : first
  }
  return lookup
}
