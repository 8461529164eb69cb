/** Writes PZF frames for benchmarks: uint16, Huffman, rows of x fastest ('F' order), as PYME's spooler does. */

const HEADER_BYTES = 64
const SYMBOLS = 256
const MAX_CODE_BITS = 24

interface HuffmanNode {
  readonly weight: number
  readonly symbol: number
  readonly children?: readonly [HuffmanNode, HuffmanNode]
}

/** @param samples row-major, `width` × `height`. */
export function encodePzf(samples: Uint16Array, width: number, height: number, frameNumber: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write('BD')
  header.set([3, 1, 1, 0, 'F'.charCodeAt(0)], 2)
  header.writeUInt32LE(frameNumber, 16)
  header.writeUInt32LE(width, 20)
  header.writeUInt32LE(height, 24)
  header.writeUInt32LE(1, 28)
  header.writeUInt32LE(HEADER_BYTES, 48)
  return Buffer.concat([header, encodeHuffman(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength))])
}

/** The tree in pre-order (1 and the symbol for a leaf, 0 for an inner node), then the codes, most significant bit first. */
function encodeHuffman(bytes: Uint8Array): Uint8Array {
  const weights = new Float64Array(SYMBOLS)
  for (let i = 0; i < bytes.length; i++) weights[bytes[i]]++
  const codes = new Uint32Array(SYMBOLS)
  const lengths = new Uint8Array(SYMBOLS)
  const tree: number[] = []
  const walk = (node: HuffmanNode, code: number, depth: number): void => {
    if (!node.children) {
      codes[node.symbol] = code
      lengths[node.symbol] = depth
      tree.push(1)
      for (let bit = 7; bit >= 0; bit--) tree.push((node.symbol >> bit) & 1)
      return
    }
    if (depth === MAX_CODE_BITS) throw new RangeError(`a code of more than ${MAX_CODE_BITS} bits`)
    tree.push(0)
    walk(node.children[0], code * 2, depth + 1)
    walk(node.children[1], code * 2 + 1, depth + 1)
  }
  walk(buildTree(weights), 0, 0)
  let bits = tree.length
  for (let symbol = 0; symbol < SYMBOLS; symbol++) bits += weights[symbol] * lengths[symbol]
  const out = new Uint8Array(Math.ceil(bits / 8))
  for (let i = 0; i < tree.length; i++) out[i >> 3] |= tree[i] << (7 - (i & 7))
  writeCodes(bytes, codes, lengths, out, tree.length)
  return out
}

/** Write the code of every byte into `out`, from bit `start` on. */
function writeCodes(bytes: Uint8Array, codes: Uint32Array, lengths: Uint8Array, out: Uint8Array, start: number): void {
  let at = start >> 3
  // What is not yet written, in the lowest bits: fewer than 8, so that a code more fits into 31.
  let held = start & 7
  let pending = held === 0 ? 0 : out[at] >> (8 - held)
  for (let i = 0; i < bytes.length; i++) {
    const symbol = bytes[i]
    pending = (pending << lengths[symbol]) | codes[symbol]
    held += lengths[symbol]
    while (held >= 8) {
      held -= 8
      out[at++] = pending >>> held
    }
    pending &= (1 << held) - 1
  }
  if (held > 0) out[at] = pending << (8 - held)
}

/** Join the two lightest nodes until one is left. */
function buildTree(weights: Float64Array): HuffmanNode {
  let nodes: HuffmanNode[] = []
  weights.forEach((weight, symbol) => {
    if (weight > 0) nodes.push({ weight, symbol })
  })
  if (nodes.length < 2) throw new RangeError('the encoder needs two different bytes')
  while (nodes.length > 1) {
    nodes.sort((a, b) => a.weight - b.weight)
    const [first, second, ...rest] = nodes
    nodes = [...rest, { weight: first.weight + second.weight, symbol: -1, children: [first, second] }]
  }
  return nodes[0]
}
