/** A symbol, or what follows a 0 bit and a 1 bit. */
export type HuffmanTree = number | readonly [HuffmanTree, HuffmanTree]

/** Collects bits, the most significant one first. */
class BitWriter {
  readonly #bytes: number[] = []
  #pending = 0
  #count = 0

  put(code: string): void {
    for (const bit of code) {
      this.#pending = this.#pending * 2 + (bit === '1' ? 1 : 0)
      if (++this.#count === 8) {
        this.#bytes.push(this.#pending)
        this.#pending = 0
        this.#count = 0
      }
    }
  }

  finish(): Uint8Array {
    if (this.#count > 0) this.put('0'.repeat(8 - this.#count))
    return Uint8Array.from(this.#bytes)
  }
}

/** A stream as pymecompress writes it, with any tree: codes may be as long as a tree of 256 leaves allows. */
export function encodeHuffman(tree: HuffmanTree, symbols: Iterable<number>): Uint8Array {
  const codes = new Map<number, string>()
  const writer = new BitWriter()
  const walk = (node: HuffmanTree, code: string): void => {
    if (typeof node === 'number') {
      codes.set(node, code)
      writer.put(`1${node.toString(2).padStart(8, '0')}`)
    } else {
      writer.put('0')
      walk(node[0], `${code}0`)
      walk(node[1], `${code}1`)
    }
  }
  walk(tree, '')
  // A code of no bits is padded to one 0 bit a symbol.
  for (const symbol of symbols) writer.put(codes.get(symbol) || '0')
  return writer.finish()
}

/** The tree with the shortest codes for symbols of these weights. */
export function huffmanTree(weights: ReadonlyMap<number, number>): HuffmanTree {
  const nodes: { tree: HuffmanTree; weight: number }[] = [...weights].map(([tree, weight]) => ({ tree, weight }))
  while (nodes.length > 1) {
    nodes.sort((a, b) => b.weight - a.weight)
    const [a, b] = nodes.splice(-2)
    nodes.push({ tree: [a.tree, b.tree], weight: a.weight + b.weight })
  }
  return nodes[0].tree
}
