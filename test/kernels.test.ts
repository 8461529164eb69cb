import { readdirSync, readFileSync } from 'node:fs'
import { compressSync } from 'lz4-napi'
import t, { type Test } from 'tap'
import { registry } from 'zarrita'
import type { Kernels, WeightedSource } from '../src/kernels/kernels.js'
import { createReferenceKernels } from '../src/kernels/reference.js'
import { compileKernels, createKernels } from '../src/kernels/wasm.js'
import { decodeBlosc, largestFrame } from '../src/pyramid/blosc.js'
import { LENGTH_OF_MATCH, MATCH_OF_RUN } from '../src/render/deflate-codes.js'
import { planPzfDecode } from '../src/sources/pyme/pzf.js'
import { encodeHuffman, type HuffmanTree, huffmanTree } from './encode-huffman.js'
import { seededRandom } from './seeded-random.js'

const compiled = compileKernels()
const reference = createReferenceKernels()
const random = seededRandom(3)
const integer = (below: number): number => Math.floor(random() * below)

/** What must not change around an output: a byte that samples rarely have, twice. */
const GUARD = 0xa5a5
const GUARDS = 40

function samplesIn(kernels: Kernels, samples: ArrayLike<number>): Uint16Array {
  const { buffer, byteOffset } = kernels.allocate(2 * samples.length)
  const array = new Uint16Array(buffer, byteOffset, samples.length)
  array.set(samples)
  return array
}

const freshKernels = (megabytes = 16): Kernels => createKernels(compiled, megabytes * 2 ** 20)
const guarded = (length: number): Uint16Array => new Uint16Array(length + 2 * GUARDS).fill(GUARD)
const isGuard = (bytes: Uint8Array): boolean => bytes.every(byte => byte === (GUARD & 0xff))

/** Camera-like samples and nasty ones, by name. */
const KINDS: Record<string, (i: number) => number> = {
  noise: () => 100 + integer(60) + integer(60),
  'the full range': () => integer(65536),
  zeros: () => 0,
  'the largest value': () => 65535,
  extremes: () => 65535 * integer(2),
  'a ramp': i => i % 65536,
  'small numbers, so that many means are halves': () => integer(4),
  'flat stretches': i => 500 * (Math.floor(i / 97) % 5),
  'odd numbers': () => 2 * integer(32768) + 1,
}

const samplesOf = (kind: string, length: number): Uint16Array => Uint16Array.from({ length }, (_, i) => KINDS[kind](i))

/** Where two arrays differ. Thousands of cases are compared: `strictSame` on each would take minutes. */
function difference(found: ArrayLike<number>, expected: ArrayLike<number>): string | undefined {
  if (found.length !== expected.length) return `${found.length} elements instead of ${expected.length}`
  for (let i = 0; i < found.length; i++)
    if (found[i] !== expected[i]) return `${found[i]} instead of ${expected[i]} at ${i}`
  return undefined
}

/** Runs through the cases of a test and names those that went wrong. */
class Faults {
  readonly #found: string[] = []

  add(what: string, fault: string | undefined): void {
    if (fault !== undefined) this.#found.push(`${what}: ${fault}`)
  }

  expectNone(t: Test): void {
    t.strictSame(this.#found, [])
  }
}

// Huffman

/** Lets both decoders loose on streams of `lengths` bytes and compares verdicts, outputs and what lies around them. */
function decodeBoth(kernels: Kernels, inputs: readonly Uint8Array[], lengths: readonly number[]): string | undefined {
  const expected = lengths.map(length => new Uint8Array(length))
  const verdicts = reference.decodeHuffman(inputs, expected)
  const spaces = lengths.map(length => kernels.allocate(length + 2 * GUARDS).fill(GUARD & 0xff))
  const placed = inputs.map(input => {
    // Whatever follows an input, it is not looked at.
    const space = kernels.allocate(input.length + 3).fill(0xff)
    space.set(input)
    return space.subarray(0, input.length)
  })
  const found = kernels.decodeHuffman(
    placed,
    spaces.map((space, i) => space.subarray(GUARDS, GUARDS + lengths[i])),
  )
  for (const [i, length] of lengths.entries()) {
    const what = `stream ${i} of ${lengths.length} (${inputs[i].length} bytes for ${length})`
    if (found[i] !== verdicts[i]) return `${what}: ${found[i]} instead of ${verdicts[i]}`
    if (Buffer.compare(placed[i], inputs[i]) !== 0) return `${what}: its input was written to`
    const space = spaces[i]
    if (!isGuard(space.subarray(0, GUARDS)) || !isGuard(space.subarray(GUARDS + length)))
      return `${what}: its surroundings were written to`
    if (verdicts[i] && Buffer.compare(space.subarray(GUARDS, GUARDS + length), expected[i]) !== 0)
      return `${what}: other bytes`
  }
  return undefined
}

function randomTree(symbols: readonly number[]): HuffmanTree {
  if (symbols.length === 1) return symbols[0]
  const cut = 1 + integer(symbols.length - 1)
  return [randomTree(symbols.slice(0, cut)), randomTree(symbols.slice(cut))]
}

/** Codes of 1, 2, … bits. */
const chain = (leaves: number): HuffmanTree =>
  Array.from({ length: leaves }, (_, i) => i).reduceRight<HuffmanTree>(
    (rest, symbol) => (symbol === leaves - 1 ? symbol : [symbol, rest]),
    0,
  )

const symbolsOf = (tree: HuffmanTree): number[] => (typeof tree === 'number' ? [tree] : tree.flatMap(symbolsOf))

/** Symbols met as often as their codes are short, by walking the tree at random. */
function likelySymbols(tree: HuffmanTree, length: number): number[] {
  return Array.from({ length }, () => {
    let node = tree
    while (typeof node !== 'number') node = node[integer(2)]
    return node
  })
}

const anySymbols = (tree: HuffmanTree, length: number): number[] => {
  const symbols = symbolsOf(tree)
  return Array.from({ length }, () => symbols[integer(symbols.length)])
}

t.test('Huffman streams with any tree and any length are decoded, however many at a time', async t => {
  const faults = new Faults()
  for (let round = 0; round < 60; round++) {
    const inputs: Uint8Array[] = []
    const lengths: number[] = []
    for (let stream = 0; stream <= round % 6; stream++) {
      const all = Array.from({ length: 256 }, (_, i) => (i * 37 + round) % 256)
      const tree = randomTree(all.slice(0, [1, 2, 3, 17, 200, 256][integer(6)]))
      const length = [0, 1, 7, 8, 9, 10, 33, 700, 3000][integer(9)]
      inputs.push(encodeHuffman(tree, random() < 0.5 ? likelySymbols(tree, length) : anySymbols(tree, length)))
      lengths.push(length)
    }
    faults.add(`round ${round}`, decodeBoth(freshKernels(), inputs, lengths))
  }
  faults.expectNone(t)
})

t.test('codes of every length up to 255 bits are decoded', async t => {
  const faults = new Faults()
  for (const leaves of [12, 13, 14, 18, 19, 20, 24, 25, 26, 40, 58, 65, 256]) {
    const tree = chain(leaves)
    const inputs = [
      encodeHuffman(tree, anySymbols(tree, 500)),
      encodeHuffman(tree, likelySymbols(tree, 2000)),
      encodeHuffman(tree, new Array(99).fill(leaves - 1)),
    ]
    faults.add(`${leaves} leaves`, decodeBoth(freshKernels(), inputs, [500, 2000, 99]))
  }
  const flat = (from: number, to: number): HuffmanTree =>
    to - from === 1 ? from : [flat(from, (from + to) / 2), flat((from + to) / 2, to)]
  const symbols = Array.from({ length: 3000 }, () => integer(128))
  const even = encodeHuffman(flat(0, 256), symbols)
  faults.add('codes of 8 bits', decodeBoth(freshKernels(), [even, even], [3000, 3000]))
  // No symbol is found by the first lookup alone.
  const deep = Array.from({ length: 12 }, (_, i) => 255 - i).reduce<HuffmanTree>(
    (rest, symbol) => [rest, symbol],
    flat(0, 128),
  )
  faults.add('codes of 19 bits', decodeBoth(freshKernels(), [encodeHuffman(deep, symbols)], [3000]))
  faults.expectNone(t)
})

t.test('streams of camera noise are decoded beside each other, whichever ends first', async t => {
  const faults = new Faults()
  const encode = (length: number): Uint8Array => {
    const bytes = new Uint8Array(samplesOf('noise', length / 2).buffer)
    const weights = new Map<number, number>()
    for (const byte of bytes) weights.set(byte, (weights.get(byte) ?? 0) + 1)
    return encodeHuffman(huffmanTree(weights), bytes)
  }
  for (const lengths of [
    [20000, 20000, 20000],
    [20000, 400],
    [400, 20000, 10000, 20000, 8],
  ]) {
    faults.add(`${lengths} bytes`, decodeBoth(freshKernels(), lengths.map(encode), lengths))
  }
  faults.expectNone(t)
})

t.test('a stream cut anywhere, or with a byte too many, is refused exactly where the reference refuses it', async t => {
  const faults = new Faults()
  const kernels = freshKernels(64)
  const tree = randomTree(Array.from({ length: 40 }, (_, i) => 6 * i))
  const whole = encodeHuffman(tree, likelySymbols(tree, 300))
  for (let length = 0; length < whole.length; length++)
    faults.add(`cut to ${length}`, decodeBoth(kernels, [whole.subarray(0, length), whole], [300, 300]))
  for (const more of [[0], [0, 0], [255], new Array(40).fill(0)])
    faults.add(`and ${more}`, decodeBoth(kernels, [whole, Uint8Array.from([...whole, ...more])], [300, 300]))
  for (const length of [0, 1, 299, 301, 310, 1000])
    faults.add(`as ${length} symbols`, decodeBoth(kernels, [whole, whole], [length, 300]))
  for (const length of [0, 1, 7, 8, 15, 16, 400])
    faults.add(`one symbol ${length} times`, decodeBoth(kernels, [encodeHuffman(77, new Array(15).fill(77))], [length]))
  faults.expectNone(t)
})

t.test('a stream with any byte changed gets the verdict of the reference, and nothing else is written to', async t => {
  const faults = new Faults()
  for (const tree of [randomTree(Array.from({ length: 30 }, (_, i) => 8 * i)), chain(30)]) {
    const whole = encodeHuffman(tree, anySymbols(tree, 150))
    for (const flip of [0x01, 0x80, 0xff]) {
      const kernels = freshKernels(64)
      for (let i = 0; i < whole.length; i++) {
        const changed = whole.slice()
        changed[i] ^= flip
        faults.add(`byte ${i} ^ ${flip}`, decodeBoth(kernels, [changed, whole], [150, 150]))
      }
    }
  }
  const kernels = freshKernels(64)
  for (let round = 0; round < 400; round++) {
    // Few bits that are 1 make trees that go on for longer.
    const mask = round % 2 === 0 ? 0xff : integer(256)
    const noise = Uint8Array.from({ length: integer(400) }, () => integer(256) & integer(256) & mask)
    const cut = noise.subarray(0, integer(noise.length))
    faults.add(`noise ${round}`, decodeBoth(kernels, [noise, cut], [integer(900), 50]))
  }
  faults.add('inner nodes for ever', decodeBoth(kernels, [new Uint8Array(200)], [100]))
  faults.add('one leaf, and ones', decodeBoth(kernels, [new Uint8Array(2000).fill(255)], [100]))
  faults.add('leaves for ever', decodeBoth(kernels, [new Uint8Array(2000).fill(255, 1)], [100]))
  faults.expectNone(t)
})

t.test('the frames that PYME wrote are decoded', async t => {
  const faults = new Faults()
  const folder = new URL('fixtures/pzf/', import.meta.url)
  let streams = 0
  for (const name of readdirSync(folder).filter(name => name.endsWith('.pzf'))) {
    const { streams: planned } = planPzfDecode(readFileSync(new URL(name, folder)), name)
    const inputs = planned.map(({ input }) => input)
    const lengths = planned.map(({ length }) => length)
    faults.add(name, decodeBoth(freshKernels(), inputs, lengths))
    streams += planned.length
  }
  t.ok(streams > 5)
  faults.expectNone(t)
})

// Samples

t.test('blending gives the exact mean, rounded half to even, and touches nothing but its cell', async t => {
  const faults = new Faults()
  const ramp = (length: number) => (i: number) => Math.min(101, i + 1, length - i)
  const full = () => () => 101
  const equal = () => () => 1
  const large = () => () => 1 + integer(400)
  for (const kind of Object.keys(KINDS)) {
    for (const [width, height, count, weightAt] of [
      [1, 1, 2, ramp],
      [7, 5, 2, ramp],
      [8, 3, 2, ramp],
      [9, 3, 3, ramp],
      [77, 20, 2, ramp],
      [31, 31, 4, ramp],
      [40, 7, 6, full],
      [40, 7, 7, full],
      [17, 4, 60, ramp],
      [24, 5, 3, equal],
      [24, 5, 2, large],
      [16, 3, 1, ramp],
    ] as const) {
      const kernels = freshKernels()
      const weights = (length: number): Uint16Array => Uint16Array.from({ length }, (_, i) => weightAt(length)(i))
      const frames = Array.from({ length: count }, (): WeightedSource => {
        const [stride, offset] = [width + integer(20), integer(50)]
        const [offsetX, offsetY] = [integer(9), integer(9)]
        return {
          samples: samplesIn(kernels, samplesOf(kind, offset + stride * height)),
          offset,
          stride,
          weightsX: samplesIn(kernels, weights(offsetX + width)),
          offsetX,
          weightsY: samplesIn(kernels, weights(offsetY + height)),
          offsetY,
        }
      })
      const stride = width + integer(12)
      const expected = guarded(stride * height)
      const found = samplesIn(kernels, expected)
      reference.average(expected, GUARDS, stride, width, height, frames)
      kernels.average(found, GUARDS, stride, width, height, frames)
      const what = `${kind}: ${count} frames, ${width} × ${height}, ${weightAt.name}`
      faults.add(what, difference(found, expected))
    }
  }
  faults.expectNone(t)
})

t.test('a thousand frames of the largest weights are still averaged exactly', async t => {
  const kernels = freshKernels()
  const weights = samplesIn(kernels, new Array(20).fill(101))
  const frames = Array.from({ length: 1024 }, (_, i): WeightedSource => {
    // An exact half, and next to it one that misses it by a 1024th.
    const samples = samplesIn(kernels, new Array(200).fill(65534 + (i % 2)))
    if (i === 0) samples[7]++
    return { samples, offset: 0, stride: 20, weightsX: weights, offsetX: 0, weightsY: weights, offsetY: 0 }
  })
  const target = samplesIn(kernels, new Uint16Array(200))
  kernels.average(target, 0, 20, 20, 10, frames)
  const expected = new Uint16Array(200).fill(65534)
  expected[7] = 65535
  t.equal(difference(target, expected), undefined)
})

t.test('rectangles are summed and copied, whatever their shape', async t => {
  const faults = new Faults()
  for (const kind of Object.keys(KINDS)) {
    for (const [width, height] of [
      [1, 1],
      [7, 3],
      [8, 8],
      [9, 2],
      [16, 1],
      [77, 30],
      [512, 600],
    ]) {
      const kernels = freshKernels()
      const [offset, stride] = [integer(30), width + integer(9)]
      const samples = samplesIn(kernels, samplesOf(kind, offset + stride * height))
      const what = `${kind}: ${width} × ${height}`
      const sums = [kernels, reference].map(({ sum }) => sum(samples, offset, stride, width, height))
      faults.add(`${what} summed`, difference([sums[0]], [sums[1]]))
      const targetStride = width + integer(9)
      const expected = guarded(targetStride * height)
      const found = samplesIn(kernels, expected)
      reference.copy(expected, GUARDS, targetStride, samples, offset, stride, width, height)
      kernels.copy(found, GUARDS, targetStride, samples, offset, stride, width, height)
      faults.add(`${what} copied`, difference(found, expected))
    }
  }
  faults.expectNone(t)
})

const MASKS: Record<string, (i: number, edge: number) => number> = {
  'all covered': () => 1,
  'nothing covered': () => 0,
  'a random half covered': () => integer(2),
  'a rectangle covered': (i, edge) => Number(i % edge > edge / 3 && i / edge < edge / 1.7),
}

/** No mask, and each of the masks for a tile. */
function* masksIn(kernels: Kernels, edge: number): Generator<[what: string, mask: Uint8Array | undefined]> {
  yield ['no mask', undefined]
  for (const [what, cover] of Object.entries(MASKS)) {
    const mask = kernels.allocate(edge * edge)
    for (let i = 0; i < mask.length; i++) mask[i] = cover(i, edge)
    yield [what, mask]
  }
}

t.test('tiles are halved', async t => {
  const faults = new Faults()
  for (const kind of Object.keys(KINDS)) {
    for (const edge of [2, 6, 14, 16, 18, 34, 64]) {
      const kernels = freshKernels()
      const samples = samplesIn(kernels, samplesOf(kind, edge * edge))
      for (const [covered, mask] of masksIn(kernels, edge)) {
        for (const absentAs of [undefined, 0, 100, 99.5, 65535]) {
          const stride = edge / 2 + integer(10)
          const expected = guarded((stride * edge) / 2)
          const found = samplesIn(kernels, expected)
          reference.reduce(samples, edge, mask, absentAs, expected, GUARDS, stride)
          kernels.reduce(samples, edge, mask, absentAs, found, GUARDS, stride)
          faults.add(`${kind}, edge ${edge}, ${covered}, absent as ${absentAs}`, difference(found, expected))
        }
      }
    }
  }
  faults.expectNone(t)
})

t.test('covered samples are counted', async t => {
  const faults = new Faults()
  for (const kind of Object.keys(KINDS)) {
    for (const edge of [1, 3, 16, 37]) {
      const kernels = freshKernels()
      const samples = samplesIn(kernels, samplesOf(kind, edge * edge))
      const { buffer, byteOffset } = kernels.allocate(4 * 65536)
      const found = new Uint32Array(buffer, byteOffset, 65536)
      const expected = new Uint32Array(65536)
      for (const [covered, mask] of masksIn(kernels, edge)) {
        kernels.histogram(samples, mask, found)
        reference.histogram(samples, mask, expected)
        faults.add(`${kind}, edge ${edge}, ${covered}`, difference(found, expected))
      }
    }
  }
  faults.expectNone(t)
})

t.test('encoded tiles are Blosc frames as c-blosc and we ourselves read them', async t => {
  const faults = new Faults()
  const codec = await registry.get('blosc')?.()
  const cBlosc = codec?.fromConfig(
    { cname: 'lz4', clevel: 5, shuffle: 'shuffle', typesize: 2, blocksize: 0 },
    {} as never,
  )
  for (const kind of Object.keys(KINDS)) {
    for (const length of [128, 143, 1000, 16384, 65536, 65536 + 17]) {
      const what = `${kind}, ${length}`
      const kernels = freshKernels()
      const samples = samplesIn(kernels, samplesOf(kind, length))
      const room = largestFrame(2 * length, 2)
      const out = kernels.allocate(room + 80).fill(GUARD & 0xff)
      const bytes = kernels.encodeTile(samples, out, 41)
      const frame = out.slice(41, 41 + bytes)
      const bytesOfSamples = new Uint8Array(samples.buffer, samples.byteOffset, 2 * length)
      faults.add(`${what} by us`, difference(decodeBlosc(frame, 2 * length, 2, 'a tile'), bytesOfSamples))
      const decoded = (await cBlosc?.decode(frame as never)) as unknown as Uint8Array
      faults.add(`${what} by c-blosc`, difference(decoded, bytesOfSamples))
      if (!isGuard(out.subarray(0, 41)) || !isGuard(out.subarray(41 + room)))
        faults.add(what, 'its surroundings were written to')
      const again = kernels.allocate(room)
      const bytesAgain = kernels.encodeTile(samplesIn(kernels, samples), again, 0)
      faults.add(`${what}, elsewhere`, difference(again.subarray(0, bytesAgain), frame))
      // Two greedy searches find about the same.
      const theirs = reference.encodeTile(samples, new Uint8Array(room), 0)
      if (length >= 16384 && bytes > 1.1 * theirs) faults.add(what, `${bytes} bytes, and ${theirs} by lz4-napi`)
    }
  }
  faults.expectNone(t)
})

// Pictures

/** Bytes of all kinds, and runs of all lengths between bytes that differ. */
const CONTENTS: Readonly<Record<string, (length: number) => Uint8Array>> = {
  noise: length => Uint8Array.from({ length }, () => integer(256)),
  'few values': length => Uint8Array.from({ length }, () => Number(integer(20) === 0)),
  'a single run': length => new Uint8Array(length).fill(7),
  'runs of any length': length => {
    const bytes = new Uint8Array(length)
    for (let at = 0, run = 0; at < length; at += run, run = integer(700) % (1 + integer(700)))
      bytes.fill(integer(256), at, at + run)
    return bytes
  },
}
const BYTE_LENGTHS = [0, 1, 2, 15, 16, 17, 18, 19, 33, 300, 5000, 70_000]

/** A copy in the kernels' memory, between guards. */
function bytesIn(kernels: Kernels, bytes: Uint8Array): { readonly bytes: Uint8Array; readonly around: Uint8Array[] } {
  const space = kernels.allocate(bytes.length + 2 * GUARDS).fill(GUARD & 0xff)
  const end = GUARDS + bytes.length
  space.set(bytes, GUARDS)
  return { bytes: space.subarray(GUARDS, end), around: [space.subarray(0, GUARDS), space.subarray(end)] }
}

t.test('samples are looked up in a table', async t => {
  const faults = new Faults()
  for (const kind of Object.keys(KINDS)) {
    for (const length of [0, 1, 7, 8, 9, 1003]) {
      const kernels = freshKernels()
      const samples = samplesIn(kernels, samplesOf(kind, length))
      const table = kernels.allocate(65536).map(() => integer(256))
      const expected = new Uint8Array(length)
      reference.lookUp(samples, table, expected)
      const { bytes: tableThere } = bytesIn(kernels, table)
      const { bytes: found, around } = bytesIn(kernels, new Uint8Array(length))
      kernels.lookUp(samples, tableThere, found)
      faults.add(`${kind}, ${length}`, difference(found, expected))
      if (!around.every(isGuard)) faults.add(kind, 'its surroundings were written to')
    }
  }
  faults.expectNone(t)
})

t.test('rows of a PNG are filtered like the reference', async t => {
  const faults = new Faults()
  for (const pixelBytes of [1, 2, 3, 4]) {
    for (const width of [1, 2, 5, 16, 17, 64, 255]) {
      for (const rows of [0, 1, 7]) {
        const kernels = freshKernels(1)
        const rowBytes = pixelBytes * width
        const { bytes: pixels } = bytesIn(kernels, CONTENTS.noise((rows + 1) * rowBytes))
        const expected = new Uint8Array(rows * (rowBytes + 1))
        reference.filterAverage(pixels, rowBytes, pixelBytes, expected)
        const { bytes: found, around } = bytesIn(kernels, new Uint8Array(expected.length))
        kernels.filterAverage(pixels, rowBytes, pixelBytes, found)
        const what = `${rows} rows of ${width} pixels of ${pixelBytes} bytes`
        faults.add(what, difference(found, expected))
        if (!around.every(isGuard)) faults.add(what, 'its surroundings were written to')
      }
    }
  }
  faults.expectNone(t)
})

t.test('symbols, codes and checksums of deflate blocks are those of the reference', async t => {
  const faults = new Faults()
  for (const [name, contents] of Object.entries(CONTENTS)) {
    for (const length of BYTE_LENGTHS) {
      const what = `${name}, ${length}`
      const kernels = freshKernels()
      const { bytes } = bytesIn(kernels, contents(length))
      const numbers = (size: number): Uint32Array => {
        const { buffer, byteOffset } = kernels.allocate(4 * size)
        return new Uint32Array(buffer, byteOffset, size)
      }
      const [expectedCounts, foundCounts] = [new Uint32Array(286), numbers(286)]
      const expected = new Uint16Array(length)
      const expectedLength = reference.findSymbols(bytes, MATCH_OF_RUN, LENGTH_OF_MATCH, expected, expectedCounts)
      const found = samplesIn(kernels, guarded(length))
      const symbols = found.subarray(GUARDS, GUARDS + length)
      const tables = [MATCH_OF_RUN, LENGTH_OF_MATCH].map(table => samplesIn(kernels, table))
      const foundLength = kernels.findSymbols(bytes, tables[0], tables[1], symbols, foundCounts)
      faults.add(what, difference([foundLength], [expectedLength]))
      const used = symbols.subarray(0, foundLength)
      faults.add(`${what}, symbols`, difference(used, expected.subarray(0, expectedLength)))
      faults.add(`${what}, counts`, difference(foundCounts, expectedCounts))
      if (!found.subarray(GUARDS + length).every(symbol => symbol === GUARD))
        faults.add(what, 'its surroundings were written to')

      const codes = numbers(286).map(() => {
        const bits = 1 + integer(21)
        return 256 * integer(2 ** bits) + bits
      })
      const codesThere = numbers(286)
      codesThere.set(codes)
      const bit = integer(50)
      const room = 3 * foundLength + 50
      const [expectedOut, { bytes: out }] = [new Uint8Array(room), bytesIn(kernels, new Uint8Array(room))]
      expectedOut.fill(0xff, 0, Math.ceil(bit / 8))
      out.set(expectedOut)
      const end = reference.writeCodes(used, codes, expectedOut, bit)
      faults.add(`${what}, bits`, difference([kernels.writeCodes(used, codesThere, out, bit)], [end]))
      faults.add(`${what}, codes`, difference(out.subarray(0, end >> 3), expectedOut.subarray(0, end >> 3)))
      const rest = (1 << (end & 7)) - 1
      faults.add(`${what}, last bits`, difference([out[end >> 3] & rest], [expectedOut[end >> 3] & rest]))

      for (const sum of [1, 0xfff0_fff0])
        faults.add(`${what}, sum`, difference([kernels.adler32(bytes, sum)], [reference.adler32(bytes, sum)]))
    }
  }
  faults.expectNone(t)
})

t.test(
  'LZ4 blocks are unpacked like the reference does it, and damaged ones refused without a byte beside them',
  async t => {
    const faults = new Faults()
    const check = (what: string, packed: Uint8Array, length: number): void => {
      const kernels = freshKernels(1)
      const expected = new Uint8Array(length)
      const verdict = reference.unpackLz4(packed, expected)
      const space = kernels.allocate(length + 2 * GUARDS).fill(GUARD & 0xff)
      const input = kernels.allocate(packed.length + 16).fill(0xff)
      input.set(packed)
      const target = space.subarray(GUARDS, GUARDS + length)
      const found = kernels.unpackLz4(input.subarray(0, packed.length), target)
      if (found !== verdict) faults.add(what, `${found} instead of ${verdict}`)
      if (verdict && found) faults.add(what, difference(target, expected))
      if (!isGuard(space.subarray(0, GUARDS)) || !isGuard(space.subarray(GUARDS + length)))
        faults.add(what, 'its surroundings were written to')
    }
    /** Repeats at every distance, runs of every length, and noise between them. */
    const texts = [
      ...Array.from({ length: 40 }, (_, i) => Uint8Array.from({ length: 3000 }, (_, k) => k % (i + 1))),
      Uint8Array.from({ length: 9000 }, (_, i) => (i % 700 < 60 ? integer(256) : Math.floor(i / 90) % 7)),
      Uint8Array.from({ length: 5000 }, () => (integer(20) === 0 ? 1 : 0)),
      Uint8Array.from({ length: 5000 }, () => integer(256)),
      new Uint8Array(70_000),
    ]
    for (const [i, text] of texts.entries()) {
      const packed = compressSync(Buffer.from(text)).subarray(4)
      check(`text ${i}`, packed, text.length)
      check(`text ${i}, a byte less`, packed, text.length - 1)
      check(`text ${i}, a byte more`, packed, text.length + 1)
    }
    const packed = compressSync(Buffer.from(texts[40])).subarray(4)
    for (let k = 0; k < 400; k++) {
      const damaged = Uint8Array.from(packed.subarray(0, k % 3 === 0 ? integer(packed.length) : packed.length))
      for (let flips = 0; flips < 1 + (k % 3) && damaged.length > 0; flips++)
        damaged[integer(damaged.length)] = integer(256)
      check(`damage ${k}`, damaged, texts[40].length)
    }
    faults.expectNone(t)
  },
)

t.test('planes of bytes are put together to samples of any size', async t => {
  const faults = new Faults()
  for (const size of [2, 4, 8]) {
    for (const samples of [0, 1, 15, 16, 17, 1003]) {
      const kernels = freshKernels(1)
      const planes = kernels.allocate(size * samples)
      for (let i = 0; i < planes.length; i++) planes[i] = integer(256)
      const found = kernels.allocate(size * samples + 32).fill(GUARD & 0xff)
      const expected = found.slice()
      reference.unshuffle(planes, size, expected.subarray(16, 16 + planes.length))
      kernels.unshuffle(planes, size, found.subarray(16, 16 + planes.length))
      faults.add(`${samples} samples of ${size}`, difference(found, expected))
    }
  }
  faults.expectNone(t)
})

// Arguments

t.test('memory is zeroed and aligned, and ends', async t => {
  const kernels = createKernels(compiled, 1000)
  const first = kernels.allocate(5)
  const second = kernels.allocate(5)
  t.equal(second.byteOffset - first.byteOffset, 16)
  t.equal(first.byteOffset % 16, 0)
  t.ok(kernels.allocate(900).every(byte => byte === 0))
  t.throws(
    () => kernels.allocate(100),
    new RangeError('100 bytes do not fit the 68 that are left of 1000 for the kernels'),
  )
})

t.test('what is not in the memory, or leaves its array, is refused', async t => {
  const kernels = freshKernels()
  const samples = samplesIn(kernels, new Uint16Array(64))
  const tile = samplesIn(kernels, new Uint16Array(128))
  t.throws(() => kernels.sum(new Uint16Array(64), 0, 8, 8, 8), TypeError)
  t.throws(() => kernels.sum(samples, 1, 8, 8, 8), RangeError)
  t.throws(() => kernels.sum(samples, 0, 7, 8, 8), RangeError)
  t.throws(() => kernels.average(samples, 0, 8, 8, 8, []), RangeError)
  t.throws(() => kernels.reduce(samples, 7, undefined, undefined, samples, 0, 4), RangeError)
  t.throws(() => kernels.histogram(samples, kernels.allocate(63), new Uint32Array(65536)), RangeError)
  t.throws(() => kernels.encodeTile(tile, kernels.allocate(283), 0), RangeError)
  t.throws(() => kernels.encodeTile(samples, kernels.allocate(500), 0), RangeError)
  t.throws(() => kernels.lookUp(samples, kernels.allocate(65536), kernels.allocate(63)), RangeError)
  t.throws(() => kernels.lookUp(samples, kernels.allocate(65535), kernels.allocate(64)), RangeError)
  t.throws(() => kernels.filterAverage(kernels.allocate(20), 8, 1, kernels.allocate(9)), RangeError)
  t.throws(() => kernels.filterAverage(kernels.allocate(16), 8, 1, kernels.allocate(8)), RangeError)
  t.throws(() => kernels.adler32(new Uint8Array(1), 1), TypeError)
  t.throws(() => kernels.decodeHuffman([kernels.allocate(8)], []), RangeError)
})
