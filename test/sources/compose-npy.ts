import type { SampleArray } from '../../src/plane.js'

/** An npy file as numpy lays it out. @param header the Python dictionary, as text. */
export function composeNpy(header: string, samples: Uint8Array | SampleArray, version = 1): Uint8Array {
  const fields = version === 1 ? 10 : 12
  const text = Buffer.from(`${header.padEnd(128 - fields - 1)}\n`)
  const start = Buffer.alloc(fields)
  start.write('\x93NUMPY', 'latin1')
  start[6] = version
  if (version === 1) start.writeUInt16LE(text.length, 8)
  else start.writeUInt32LE(text.length, 8)
  return Buffer.concat([start, text, new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)])
}

/** The header of an array. @param descr its type, e.g. `<u2`. @param shape between commas. */
export function describeArray(descr: string, shape: string, fortran = 'False'): string {
  return `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape}), }`
}
