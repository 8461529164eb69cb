import type { FrameReader } from '../frame-source.js'
import { LayeredReader, type LayeredReaderData } from '../layered-reader.js'
import type { RawHeader } from './raw-header.js'
import { RawStack } from './raw-stack.js'

export interface RawReaderData extends LayeredReaderData {
  /** Version of the file that is read, and no other. */
  readonly stamp: string
  readonly header: RawHeader
}

/** Also for workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  const { stamp, header, ...layered } = data as RawReaderData
  const stack = new RawStack(layered.path, stamp, header)
  return new LayeredReader(layered, async () => stack)
}
