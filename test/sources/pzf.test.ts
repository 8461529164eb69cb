import { readFileSync } from 'node:fs'
import t from 'tap'
import { CorruptDataError, type ErrorCode, LimitExceededError, TilestageError } from '../../src/errors.js'
import { readNpy } from '../../src/sources/npy.js'
import { decodePzf, type PzfFrame } from '../../src/sources/pyme/pzf.js'
import { PZF_HEADER_BYTES, readPzfHeader } from '../../src/sources/pyme/pzf-header.js'

interface ManifestFrame {
  name: string
  pzf: string
  npy: string
  header: { Version: number; DataCompression: number; DimOrder: string; Width: number; Height: number; Depth: number }
}

const fixtures = new URL('../fixtures/pzf/', import.meta.url)
const manifest: { frames: ManifestFrame[] } = JSON.parse(readFileSync(new URL('manifest.json', fixtures), 'utf8'))

function readFixture(file: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(file, fixtures)))
}

/** A copy of a fixture with some bytes replaced. */
function patchFixture(name: string, patches: Record<number, readonly number[]>): Uint8Array {
  const bytes = readFixture(`${name}.pzf`)
  for (const [offset, values] of Object.entries(patches)) bytes.set(values, Number(offset))
  return bytes
}

const u32 = (value: number): number[] => [...new Uint8Array(new Uint32Array([value]).buffer)]
const f32 = (value: number): number[] => [...new Uint8Array(new Float32Array([value]).buffer)]

/** PYME's truth is indexed `[x][y][z]`. */
function firstDifference(frame: PzfFrame, truth: ReturnType<typeof readNpy>): string | undefined {
  const { width, height, depth, samples } = frame
  let i = 0
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      for (let z = 0; z < depth; z++, i++) {
        const found = samples[(z * height + y) * width + x]
        if (found !== truth.samples[i]) return `(x ${x}, y ${y}, z ${z}): ${found}, not ${truth.samples[i]}`
      }
    }
  }
  return undefined
}

/** How a blob fails, or `undefined` where it decodes to a frame of its header's shape. Anything else is a bug. */
function failureOf(bytes: Uint8Array): ErrorCode | undefined {
  try {
    const frame = decodePzf(bytes, 'blob.pzf')
    const header = readPzfHeader(bytes, 'blob.pzf')
    const expected = header.width * header.height * header.depth
    if (frame.width !== header.width || frame.height !== header.height || frame.depth !== header.depth)
      throw new Error('another shape')
    if (frame.sampleType !== header.sampleType || frame.samples.length !== expected)
      throw new Error('another number of samples')
    return undefined
  } catch (error) {
    if (!(error instanceof TilestageError) || !error.message.startsWith('blob.pzf ')) throw error
    return error.code
  }
}

t.test('every frame that PYME wrote decodes to what PYME reads, sample by sample', async t => {
  t.equal(manifest.frames.length, 119)
  for (const { name, pzf, npy, header } of manifest.frames) {
    const frame = decodePzf(readFixture(pzf), pzf)
    const truth = readNpy(readFixture(npy), npy)
    const { width, height, depth, sampleType } = frame
    t.same([width, height, depth], [header.Width, header.Height, header.Depth], `${name}: shape`)
    t.equal(sampleType, truth.sampleType, `${name}: type`)
    t.equal(firstDifference(frame, truth), undefined, `${name}: samples`)
  }
})

t.test('the first 64 bytes are enough to know a frame', async t => {
  const header = readPzfHeader(readFixture('u2_quant_o100_s0.5_C_65x67.pzf').subarray(0, PZF_HEADER_BYTES), 'frame.pzf')
  t.same(header, {
    width: 65,
    height: 67,
    depth: 1,
    sampleType: 'uint16',
    compression: 'huffman',
    quantisation: { offset: 100, scale: 0.5 },
    order: 'C',
    dataOffset: 64,
  })
})

t.test('a frame that lies anywhere in a larger buffer decodes the same', async t => {
  for (const name of ['u2_raw_F_33x17', 'f4_raw_C_33x17', 'u2_huff_C_33x17']) {
    const bytes = readFixture(`${name}.pzf`)
    for (const shift of [1, 2, 3]) {
      const shifted = new Uint8Array(bytes.length + 8).fill(0xa5)
      shifted.set(bytes, shift)
      t.same(decodePzf(shifted.subarray(shift, shift + bytes.length), name).samples, decodePzf(bytes, name).samples)
    }
  }
})

t.test('a frame cut short at any byte is an error that names it', async t => {
  const read: string[] = []
  for (const { name, pzf } of manifest.frames) {
    const bytes = readFixture(pzf)
    // Every length near both ends, about 150 between them.
    const step = Math.ceil(bytes.length / 150)
    for (let length = 0; length < bytes.length; length += length < 80 || length > bytes.length - 80 ? 1 : step) {
      if (failureOf(bytes.subarray(0, length)) !== 'CORRUPT_DATA') read.push(`${name} cut to ${length} bytes`)
    }
    if (failureOf(bytes.subarray(0, -1)) !== 'CORRUPT_DATA') read.push(`${name} without its last byte`)
  }
  t.same(read, [])
})

t.test('bytes behind the samples are an error, zeros too', async t => {
  const read: string[] = []
  for (const { name, pzf } of manifest.frames) {
    const bytes = readFixture(pzf)
    for (const filler of [0, 0xff]) {
      const longer = new Uint8Array(bytes.length + 1).fill(filler)
      longer.set(bytes)
      if (failureOf(longer) !== 'CORRUPT_DATA') read.push(`${name} with ${filler} behind it`)
    }
  }
  t.same(read, [])
})

t.test('a flipped byte gives an error that names the frame, or a frame of the shape in its header', async t => {
  const counts = { errors: 0, frames: 0 }
  const names = manifest.frames
    .map(frame => frame.name)
    .filter(name => /33x17|3x5$|1x1|12x10x4|const|twosymbol|quant_o100|chunks|^v\d/.test(name))
  t.ok(names.length > 50)
  for (const name of names) {
    const bytes = readFixture(`${name}.pzf`)
    // Every byte of the header and of the tree, then fewer.
    const step = Math.ceil(bytes.length / 400)
    for (let offset = 0; offset < bytes.length; offset += offset < 400 ? 1 : step) {
      for (const mask of [0x01, 0x10, 0x80, 0xff]) {
        bytes[offset]! ^= mask
        counts[failureOf(bytes) === undefined ? 'frames' : 'errors']++
        bytes[offset]! ^= mask
      }
    }
  }
  t.ok(counts.errors > 10_000, `${counts.errors} errors`)
  t.ok(counts.frames > 10_000, `${counts.frames} frames`)
})

t.test('a header that cannot be is refused with what was found and what is possible', async t => {
  const cases: [title: string, bytes: Uint8Array, name: string, message: RegExp][] = [
    [
      'no magic',
      patchFixture('u2_huff_C_3x5', { 0: [0x50] }),
      'CorruptDataError',
      /does not begin with the letters BD/,
    ],
    ['nothing', new Uint8Array(0), 'CorruptDataError', /has 0 bytes/],
    ['version 0', patchFixture('u2_huff_C_3x5', { 2: [0] }), 'UnsupportedDataError', /version 0; 1, 2 and 3/],
    ['version 4', patchFixture('u2_huff_C_3x5', { 2: [4] }), 'UnsupportedDataError', /version 4; 1, 2 and 3/],
    ['format 3', patchFixture('u2_huff_C_3x5', { 3: [3] }), 'UnsupportedDataError', /sample format 3; 0 \(uint8\)/],
    ['compression 3', patchFixture('u2_huff_C_3x5', { 4: [3] }), 'UnsupportedDataError', /compression 3; 0 \(none\)/],
    ['quantisation 2', patchFixture('u2_huff_C_3x5', { 5: [2] }), 'UnsupportedDataError', /quantisation 2;/],
    [
      'quantised and raw',
      patchFixture('u2_raw_C_3x5', { 5: [1] }),
      'UnsupportedDataError',
      /quantised but not Huffman/,
    ],
    ['order X', patchFixture('u2_huff_C_3x5', { 6: [0x58] }), 'CorruptDataError', /axis order is the byte 88/],
    ['no width', patchFixture('u2_huff_C_3x5', { 20: u32(0) }), 'CorruptDataError', /0 × 5 × 1 pixels/],
    ['scale NaN', patchFixture('u2_quant_o100_s1_C_65x67', { 44: f32(Number.NaN) }), 'CorruptDataError', /scale NaN/],
    [
      'offset in header',
      patchFixture('u2_raw_C_3x5', { 48: u32(63) }),
      'CorruptDataError',
      /byte 63, within its header/,
    ],
    [
      'offset behind the end',
      patchFixture('u2_raw_C_3x5', { 48: u32(0xffffffff) }),
      'CorruptDataError',
      /needs at least 4294967295/,
    ],
  ]
  for (const [title, bytes, name, message] of cases) {
    t.throws(() => decodePzf(bytes, 'frame.pzf'), { name, message }, title)
  }
})

t.test('a header cannot ask for more memory than eight times its file', async t => {
  const before = process.memoryUsage().arrayBuffers
  const huge = patchFixture('u2_huff_C_3x5', { 20: [...u32(0xffffffff), ...u32(0xffffffff), ...u32(0xffffffff)] })
  t.throws(() => decodePzf(huge, 'frame.pzf'), LimitExceededError)
  const large = patchFixture('u2_huff_C_3x5', { 20: [...u32(16384), ...u32(16384), ...u32(1)] })
  t.throws(() => decodePzf(large, 'frame.pzf'), CorruptDataError)
  const bomb = patchFixture('const_u2_0_16x9', { 20: [...u32(16384), ...u32(16384), ...u32(1)] })
  t.throws(() => decodePzf(bomb, 'frame.pzf'), CorruptDataError)
  const chunks = patchFixture('u2_huffchunks_n2_40x31', { 70: u32(0xffffffff) })
  t.throws(() => decodePzf(chunks, 'frame.pzf'), CorruptDataError)
  t.ok(process.memoryUsage().arrayBuffers - before < 2 ** 24, 'nothing of that size was allocated')
})

t.test('a damaged Huffman tree is refused', async t => {
  // The tree begins with 0 (an inner node): all zeros never reach a leaf, all ones list the byte 255 for ever.
  const zeros = readFixture('u2_huff_C_256x256.pzf').fill(0, 64)
  t.throws(
    () => decodePzf(zeros, 'frame.pzf'),
    /frame.pzf is damaged: the tree of its Huffman codes has more than 256 leaves/,
  )
  const twice = patchFixture('u2_huff_C_3x5', { 64: [0b01111111, 0b11111111, 0b11111111] })
  t.throws(() => decodePzf(twice, 'frame.pzf'), /lists the byte 255 twice/)
  const cutOff = patchFixture('u1_huff_C_1x1', { 64: [0, 0] })
  t.throws(() => decodePzf(cutOff, 'frame.pzf'), /is cut off/)
})

t.test('quantised counts beyond the sample type saturate', async t => {
  const dark = decodePzf(patchFixture('u2_quant_o100_s1_C_65x67', { 40: f32(-500) }), 'frame.pzf')
  const bright = decodePzf(patchFixture('u2_quant_o100_s1_C_65x67', { 44: f32(1000) }), 'frame.pzf')
  t.equal(Math.min(...dark.samples), 0)
  t.equal(Math.max(...bright.samples), 65535)
})
