import type { FrameReader } from '../frame-source.js'
import { LayeredReader, type LayeredReaderData } from '../layered-reader.js'
import type { ArrayStack } from './datastack-content.js'
import { ZarrArrays } from './zarr-array.js'
import { ZarrStack } from './zarr-stack.js'

export interface DatastackReaderData extends LayeredReaderData {
  /** Version of the file that is read, and no other. */
  readonly stamp: string
  readonly stacks: readonly ArrayStack[]
}

/** Also for workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  const { path, stamp, stacks, ...layered } = data as DatastackReaderData
  const arrays = new ZarrArrays(path, stamp)
  return new LayeredReader({ path, ...layered }, async stack => {
    const { array, axes } = stacks[stack]!
    return new ZarrStack(await arrays.open(array), axes)
  })
}
