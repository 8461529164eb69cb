import { File, ready } from 'h5wasm/node'
import type { SampleArray } from '../../src/plane.js'

export interface ArrayParts {
  readonly name?: string
  readonly data: SampleArray | BigInt64Array
  readonly shape: readonly number[]
  /** With gzip; in one piece where left out. */
  readonly chunks?: readonly number[]
  readonly attributes?: Readonly<Record<string, string | string[] | number | number[]>>
}

/** Write an HDF5 file of one dataset. */
export async function writeArray(path: string, parts: ArrayParts): Promise<string> {
  return await writeArrays(path, [parts])
}

/** Write an HDF5 file of several datasets at its top. */
export async function writeArrays(path: string, all: readonly ArrayParts[]): Promise<string> {
  await ready
  const file = new File(path, 'w')
  for (const { name = 'images', data, shape, chunks, attributes = {} } of all) {
    const packed = chunks && { chunks: [...chunks], compression: 'gzip' as const, compression_opts: [4] }
    const dataset = file.create_dataset({ name, data, shape: [...shape], ...packed })
    for (const [key, value] of Object.entries(attributes)) dataset.create_attribute(key, value)
  }
  file.close()
  return path
}
