/** Writes PZF frames for benchmarks: uint16, Huffman, rows of x fastest ('F' order), as PYME's spooler does. */

const HEADER_BYTES = 64
const SYMBOLS = 256

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
  for (const byte of bytes) weights[byte]++
  const root = buildTree(weights)
  const codes = new Uint32Array(SYMBOLS)
  const lengths = new Uint8Array(SYMBOLS)
  const out = new Uint8Array(2 * bytes.length + 1024)
  let at = 0
  let pending = 0
  let bits = 0
  const put = (code: number, length: number): void => {
    // At most 7 bits are pending, so up to 24 more fit 31.
    pending = (pending << length) | code
    bits += length
    while (bits >= 8) {
      bits -= 8
      out[at++] = (pending >>> bits) & 255
    }
    pending &= (1 << bits) - 1
  }
  const walk = (node: HuffmanNode, code: number, depth: number): void => {
    if (!node.children) {
      codes[node.symbol] = code
      lengths[node.symbol] = depth
      put(1, 1)
      put(node.symbol, 8)
      return
    }
    if (depth === 24) throw new RangeError('a code of more than 24 bits')
    put(0, 1)
    walk(node.children[0], code * 2, depth + 1)
    walk(node.children[1], code * 2 + 1, depth + 1)
  }
  walk(root, 0, 0)
  for (const byte of bytes) put(codes[byte], lengths[byte])
  if (bits > 0) put(0, 8 - bits)
  return out.subarray(0, at)
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
