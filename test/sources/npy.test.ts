import t from 'tap'
import { readNpy } from '../../src/sources/npy.js'
import { composeNpy, describeArray as describe } from './compose-npy.js'

t.test('an array keeps its axes, its type and its values', async t => {
  for (const version of [1, 2, 3]) {
    const npy = composeNpy(describe('<u2', '2, 3'), new Uint16Array([1, 2, 3, 4, 5, 60000]), version)
    t.same(readNpy(npy, 'a.npy'), {
      shape: [2, 3],
      sampleType: 'uint16',
      samples: new Uint16Array([1, 2, 3, 4, 5, 60000]),
    })
  }
  const float = composeNpy(describe('<f4', '1, 2'), new Float32Array([1.5, Number.NaN]))
  t.same(readNpy(float, 'a.npy').samples, new Float32Array([1.5, Number.NaN]))
})

t.test('whole numbers of 64 bits and halves become floats, small ones and booleans small integers', async t => {
  const halves = composeNpy(describe('<f2', '1, 6'), new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00, 0x3555]))
  t.same(readNpy(halves, 'a.npy').samples, new Float32Array([1, -2, 2 ** -24, 65504, -Infinity, 0.333251953125]))
  const cases: [string, Uint8Array, number[]][] = [
    ['<i8', new Uint8Array(new BigInt64Array([-3n, 2n ** 40n + 7n]).buffer), [-3, 2 ** 40 + 7]],
    ['<u8', new Uint8Array(new BigUint64Array([2n ** 63n, 5n]).buffer), [2 ** 63, 5]],
    ['>i8', new Uint8Array([255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0, 0, 0, 1, 0]), [-2, 256]],
    ['|i1', new Uint8Array([255, 127]), [-1, 127]],
    ['|b1', new Uint8Array([1, 0]), [1, 0]],
  ]
  for (const [type, bytes, values] of cases)
    t.same([...readNpy(composeNpy(describe(type, '1, 2'), bytes), 'a.npy').samples], values, type)
})

t.test('Fortran order and big-endian samples come out in C order', async t => {
  const flat = composeNpy(describe('|u1', '2, 3', 'True'), new Uint8Array([1, 4, 2, 5, 3, 6]))
  t.same(readNpy(flat, 'a.npy').samples, new Uint8Array([1, 2, 3, 4, 5, 6]))
  const deep = composeNpy(describe('|u1', '2, 2, 2', 'True'), new Uint8Array([0, 4, 2, 6, 1, 5, 3, 7]))
  t.same(readNpy(deep, 'a.npy').samples, new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]))
  const big = composeNpy(describe('>i4', '1, 2'), new Uint8Array([0, 0, 1, 2, 255, 255, 255, 254]))
  t.same(readNpy(big, 'a.npy').samples, new Int32Array([258, -2]))
})

t.test('what cannot be read is refused with the file, what was found and what is possible', async t => {
  const byte = new Uint8Array(1)
  const cases: [header: string, name: string, message: RegExp][] = [
    [describe('|O', '1, 1'), 'UnsupportedDataError', /a\.npy holds Python objects/],
    ["{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1, 1), }", 'UnsupportedDataError', /several fields/],
    [describe('constructor', '1, 1'), 'UnsupportedDataError', /type "constructor"; b1, u1/],
    [
      describe('<c8', '1, 1'),
      'UnsupportedDataError',
      /type "<c8"; b1, u1, i1, u2, i2, f2, u4, i4, f4, u8, i8, f8 can be read/,
    ],
    [describe('|u1', '1,'), 'UnsupportedDataError', /1 axes \(1\); arrays of 2 or 3/],
    [describe('|u1', '1, 1, 1, 1'), 'UnsupportedDataError', /4 axes/],
    [describe('|u1', '0, 1'), 'CorruptDataError', /empty/],
    [describe('|u1', '-1, 1'), 'CorruptDataError', /no valid shape/],
    [describe('|u1', '1, 1', '1'), 'CorruptDataError', /no valid fortran_order/],
    ['{}', 'CorruptDataError', /no valid descr/],
    [describe('|u1', '2, 1'), 'CorruptDataError', /1 bytes of samples.*2 × 1 of u1.*means 2/],
    [describe('<f8', '99999999, 99999999, 99999999'), 'CorruptDataError', /1 bytes of samples/],
  ]
  for (const [header, name, message] of cases) {
    t.throws(() => readNpy(composeNpy(header, byte), 'a.npy'), { name, message }, header)
  }
})

t.test('a file cut short at any byte, or with bytes behind it, is an error', async t => {
  const npy = composeNpy(describe('<u2', '2, 2'), new Uint16Array([1, 2, 3, 4]), 2)
  for (let length = 0; length < npy.length; length++) {
    t.throws(() => readNpy(npy.subarray(0, length), 'a.npy'), { message: /^a\.npy / }, `${length} bytes`)
  }
  t.throws(() => readNpy(Buffer.concat([npy, Buffer.alloc(1)]), 'a.npy'), { name: 'CorruptDataError' })
  npy.set([0xff, 0xff, 0xff, 0xff], 8)
  t.throws(() => readNpy(npy, 'a.npy'), { name: 'LimitExceededError' })
})
