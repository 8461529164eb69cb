import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { CorruptDataError, fromSystemError, NotFoundError } from '../../errors.js'
import { type Plane, type SampleArray, samplesIn } from '../../plane.js'
import type { FrameReader } from '../frame-source.js'
import { columnsOf, cutSheet, type SheetPiece } from './contact-sheet.js'
import { gather } from './gather.js'
import { decodeSamples, type NpyType } from './npy-header.js'
import type { StackLayout } from './stack-layout.js'

/** What it takes to read the pieces of a contact sheet; plain data. */
export interface NumpyReaderData {
  readonly path: string
  /** As the user typed it, for messages. */
  readonly url: string
  /** Of the file when it was opened: another one is not read. */
  readonly stamp: string
  readonly type: NpyType
  readonly layout: StackLayout
  /** Where the samples begin, in the file or in `unpacked`. */
  readonly dataOffset: number
  /** An array out of an archive, the same memory for all threads. */
  readonly unpacked?: SharedArrayBuffer
}

/** Gives bytes from an offset on, which the caller may overwrite. */
type ReadBytes = (offset: number, length: number) => Uint8Array

/** Reads the pieces of a contact sheet in whichever thread it was made. Frame c + components × i is component c of piece i. */
export class NumpyReader implements FrameReader {
  readonly #data: NumpyReaderData
  readonly #pieces: readonly SheetPiece[]

  constructor(data: NumpyReaderData) {
    this.#data = data
    this.#pieces = cutSheet(data.layout, data.url)
  }

  async readFrame(
    index: number,
    { signal, into }: { readonly signal?: AbortSignal; readonly into?: Uint8Array } = {},
  ): Promise<Plane> {
    const { url, layout } = this.#data
    const piece = this.#pieces[Math.floor(index / layout.components)]
    if (!Number.isInteger(index) || !piece)
      throw new NotFoundError(`${url} has no frame ${index}.`, { url, frameIndex: index })
    // What is asked for and given up at once is not read.
    await undefined
    signal?.throwIfAborted()
    return this.#withBytes(read => this.#read(piece, index % layout.components, read, into))
  }

  #read(piece: SheetPiece, component: number, read: ReadBytes, into: Uint8Array | undefined): Plane {
    const { type, layout, dataOffset } = this.#data
    const { steps } = layout
    const { width, height, item, across, down, part } = piece
    const { sampleType, bytes } = type
    const length = width * height
    const samples = samplesIn(sampleType, length, into)
    const columns = columnsOf(layout.count)
    const first = item * steps.item + part.y * steps.row + part.x * steps.column + component * steps.component
    const axes = [
      { length: down, from: columns * steps.item, to: part.height * width },
      { length: across, from: steps.item, to: part.width },
      { length: part.height, from: steps.row, to: width },
      { length: part.width, from: steps.column, to: 1 },
    ]
    const readSamples = (from: number, count: number): SampleArray =>
      decodeSamples(type, read(dataOffset + from * bytes, count * bytes))
    gather(axes, first, bytes, readSamples, samples)
    return { width, height, sampleType, samples }
  }

  /** @throws {CorruptDataError} the file is not the one that was opened, or is changed while it is read. */
  #withBytes<T>(work: (read: ReadBytes) => T): T {
    const { path, url, stamp, unpacked } = this.#data
    if (unpacked) return work((offset, length) => new Uint8Array(unpacked, offset, length).slice())
    let file: number | undefined
    try {
      file = openSync(path, 'r')
      const descriptor = file
      const expectSame = (): void => {
        const { dev, ino, size, mtimeMs } = fstatSync(descriptor)
        if (`${dev} ${ino} ${size} ${mtimeMs}` === stamp) return
        throw new CorruptDataError(`${url} changed after it was opened; run the same command again.`, { url })
      }
      expectSame()
      const result = work((offset, length) => readRange(descriptor, offset, length, url))
      expectSame()
      return result
    } catch (error) {
      throw fromSystemError(error, path)
    } finally {
      if (file !== undefined) closeSync(file)
    }
  }
}

/** For workers: `FrameSource.reader` names this module, and `data` is what it was given. */
export function openFrameReader(data: unknown): FrameReader {
  return new NumpyReader(data as NumpyReaderData)
}

function readRange(file: number, offset: number, length: number, url: string): Uint8Array {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const bytesRead = readSync(file, bytes, filled, length - filled, offset + filled)
    if (bytesRead === 0)
      throw new CorruptDataError(`${url} ends within its samples.`, { url, byteOffset: offset + filled })
    filled += bytesRead
  }
  return bytes
}
