import { LRUCache } from 'lru-cache'
import * as zarr from 'zarrita'
import {
  CorruptDataError,
  LimitExceededError,
  NotFoundError,
  TilestageError,
  UnsupportedDataError,
} from '../../errors.js'
import type { SampleType } from '../../plane.js'
import { examineFile } from '../file-version.js'
import { NUMBER_ARRAYS } from '../number-arrays.js'
import { ZipArchive } from '../zip/zip-archive.js'
import { BloscBands } from './blosc-bands.js'
import { packersOf, whyNotUnpack } from './packed-length.js'

/** As many as an archive may have entries. */
const MAX_CHUNKS = 2 ** 20
/** Of a decoded chunk. Arrays of maps are often a single one. */
const MAX_CHUNK_BYTES = 256 * 2 ** 20
/** As it is stored; what does not shrink gets a little longer. */
const MAX_PACKED_BYTES = MAX_CHUNK_BYTES + 2 ** 20
const MAX_METADATA_BYTES = 2 ** 20
const MAX_EDGE = 2 ** 24
/** Names, energies, an extent. */
const MAX_VALUES = 2 ** 17
/** Longer ones are unpacked in bands, where that can be done. */
const MAX_WHOLE_BYTES = 8 * 2 ** 20
/** What is kept of decoded chunks beside the one that is read, by a thread, bytes. */
export const KEPT_CHUNK_BYTES = 32 * 2 ** 20

const SAMPLES: Readonly<Record<string, { readonly type: SampleType; readonly bytes: number }>> = {
  bool: { type: 'uint8', bytes: 1 },
  int8: { type: 'int16', bytes: 1 },
  uint8: { type: 'uint8', bytes: 1 },
  int16: { type: 'int16', bytes: 2 },
  uint16: { type: 'uint16', bytes: 2 },
  int32: { type: 'int32', bytes: 4 },
  uint32: { type: 'uint32', bytes: 4 },
  int64: { type: 'float64', bytes: 8 },
  uint64: { type: 'float64', bytes: 8 },
  float32: { type: 'float32', bytes: 4 },
  float64: { type: 'float64', bytes: 8 },
}

/** Numbers of a chunk, and how far apart neighbours along each axis lie. */
export interface Chunk {
  readonly samples: ArrayLike<number>
  readonly strides: readonly number[]
  /** Which number of the chunk the first one is: before and behind it there may be more. */
  readonly first: number
}

/** A chunk, or a band of one. */
interface Kept {
  readonly content: Promise<unknown>
  readonly bytes: number
}

/** By file, version, array and place. At least the one that is read last is kept, whatever its size. */
const kept = new LRUCache<string, Kept>({
  maxSize: MAX_CHUNK_BYTES,
  sizeCalculation: ({ bytes }) => bytes,
})

/** The zarr arrays of an archive, of either generation. */
export class ZarrArrays {
  readonly #path: string
  readonly #stamp: string
  readonly #archive: ZipArchive
  readonly #arrays = new Map<string, Promise<ZarrArray>>()

  /** @param stamp of the version of the file that is read. */
  constructor(path: string, stamp: string) {
    this.#path = path
    this.#stamp = stamp
    this.#archive = new ZipArchive(path, stamp)
  }

  /** Names of all arrays. @throws as `readZipDirectory`. */
  async names(): Promise<string[]> {
    const names = [...(await this.#archive.entries()).keys()].flatMap(
      name => /^(.+)\/(?:\.zarray|zarr\.json)$/.exec(name)?.[1] ?? [],
    )
    return [...new Set(names)]
  }

  /**
   * @throws {NotFoundError} there is none of that name. @throws {UnsupportedDataError | CorruptDataError |
   *   LimitExceededError} it cannot be read.
   */
  open(name: string): Promise<ZarrArray> {
    const known = this.#arrays.get(name)
    if (known) return known
    const array = this.#open(name)
    this.#arrays.set(name, array)
    array.catch(() => this.#arrays.delete(name))
    return array
  }

  async #open(name: string): Promise<ZarrArray> {
    const entries = await this.#archive.entries()
    const url = `${this.#path}#${name}`
    const isThird = entries.has(`${name}/zarr.json`)
    const document = await this.#archive.read(`${name}/${isThird ? 'zarr.json' : '.zarray'}`, MAX_METADATA_BYTES)
    if (!document) throw new NotFoundError(`${url} does not exist.`, { url })
    const storage = readStorage(document, url)
    const { packer } = storage
    let chunkBytes = 0
    const store = {
      get: async (key: string) => {
        if (/\.json$|\/\.z[a-z]+$/.test(key)) return await this.#archive.read(key.slice(1), MAX_METADATA_BYTES)
        const packed = await this.#archive.read(key.slice(1), MAX_PACKED_BYTES)
        const objection = packed && packer && whyNotUnpack(packer, packed, chunkBytes)
        if (objection) throw new CorruptDataError(`${url} has ${objection}.`, { url })
        return packed
      },
    }
    const array = await translating(url, () =>
      (isThird ? zarr.open.v3 : zarr.open.v2)(zarr.root(store).resolve(`/${name}`), { kind: 'array' }),
    )
    const key = `${this.#path}\n${this.#stamp}\n${name}`
    const openBands: OpenBands = async (place, bytes) => {
      const chunk = `${name}/${place.join(storage.separator)}`
      const entry = entries.get(chunk)
      if (!storage.isPlainBlosc || !entry || entry.isDeflated) return undefined
      return await BloscBands.open(bytes, (from, length) => this.#archive.readPart(chunk, entry, from, length), url)
    }
    const opened = new ZarrArray(array, url, { key, path: this.#path }, openBands)
    chunkBytes = opened.chunkBytes
    return opened
  }
}

/** Opens a chunk that is unpacked band by band; undefined where it is not stored so. */
type OpenBands = (place: readonly number[], bytes: number) => Promise<BloscBands | undefined>

/** One array. */
export class ZarrArray {
  readonly shape: readonly number[]
  readonly chunkShape: readonly number[]
  readonly #array: zarr.Array<zarr.DataType, zarr.Readable>
  readonly #url: string
  readonly #version: { readonly key: string; readonly path: string }
  readonly #openBands: OpenBands
  readonly #bands = new Map<string, Promise<BloscBands | undefined>>()

  /** @param version its file, and what no other version of it has for a key. */
  constructor(
    array: zarr.Array<zarr.DataType, zarr.Readable>,
    url: string,
    version: { readonly key: string; readonly path: string },
    openBands: OpenBands,
  ) {
    const { shape, chunks } = array
    const isEdge = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0
    const isShape = (edges: unknown): boolean => Array.isArray(edges) && edges.every(isEdge)
    if (!isShape(shape) || !isShape(chunks) || shape.length !== chunks.length) {
      throw new CorruptDataError(
        `${url} has the shape ${JSON.stringify(shape)} and chunks of ${JSON.stringify(chunks)}, which makes no array.`,
        { url },
      )
    }
    if (shape.some(edge => edge > MAX_EDGE))
      throw new LimitExceededError(`${url} has the shape ${shape.join(' × ')}; up to ${MAX_EDGE} an edge are read.`, {
        url,
      })
    const count = product(shape.map((edge, i) => Math.ceil(edge / chunks[i]!)))
    if (count > MAX_CHUNKS)
      throw new LimitExceededError(`${url} is cut into ${count} chunks; up to ${MAX_CHUNKS} are read.`, { url })
    const chunkBytes = product(chunks) * (SAMPLES[array.dtype]?.bytes ?? 1)
    if (chunkBytes > MAX_CHUNK_BYTES) {
      throw new LimitExceededError(`${url} has chunks of ${chunkBytes} bytes; up to ${MAX_CHUNK_BYTES} are read.`, {
        url,
      })
    }
    this.#array = array
    this.#url = url
    this.#version = version
    this.#openBands = openBands
    this.shape = shape
    this.chunkShape = chunks
  }

  get dataType(): string {
    return this.#array.dtype
  }

  /** The smallest type of ours that holds its numbers; undefined of texts and of what is not read. */
  get sampleType(): SampleType | undefined {
    return SAMPLES[this.dataType]?.type
  }

  /** Bytes that are unpacked at once: a chunk, or a band of one. */
  async unpackedBytes(): Promise<number> {
    const bands = await this.#bandsOf(this.shape.map(() => 0)).catch(() => undefined)
    return bands?.bandBytes ?? this.chunkBytes
  }

  /** Of a decoded chunk. */
  get chunkBytes(): number {
    return product(this.chunkShape) * (SAMPLES[this.dataType]?.bytes ?? 1)
  }

  /**
   * Read a part of a chunk.
   *
   * @param place of the chunk, counted in chunks. @param start of the part along each axis, within the chunk.
   * @param end of the part along each axis.
   * @returns what holds the part, and maybe more.
   */
  async readChunk(place: readonly number[], start: readonly number[], end: readonly number[]): Promise<Chunk> {
    const key = `${this.#version.key}\n${place.join()}`
    const bands = await this.#bandsOf(place)
    if (!bands) return await this.#keep(key, this.chunkBytes, () => this.#decode(place))
    const strides = this.chunkShape.map((_, axis) => product(this.chunkShape.slice(axis + 1)))
    const first = strides.reduce((sum, stride, axis) => sum + stride * start[axis]!, 0)
    const last = strides.reduce((sum, stride, axis) => sum + stride * (end[axis]! - 1), 0)
    const { bytes: size } = SAMPLES[this.dataType]!
    const run = new Uint8Array((last + 1 - first) * size)
    const { bandBytes } = bands
    for (let band = Math.floor((first * size) / bandBytes); band * bandBytes < (last + 1) * size; band++) {
      const bytes = await this.#keep(`${key}\n${band}`, bandBytes, () =>
        translating(this.#url, () => bands.readBand(band)),
      )
      const from = Math.max(0, first * size - band * bandBytes)
      const part = bytes.subarray(from, (last + 1) * size - band * bandBytes)
      run.set(part, Math.max(0, band * bandBytes - first * size))
    }
    return { samples: this.#numbersIn(run), strides, first }
  }

  /**
   * All of a short array.
   *
   * @throws {LimitExceededError} it is not short.
   */
  async readValues(): Promise<(number | string)[]> {
    const count = product(this.shape)
    if (count > MAX_VALUES || product(this.chunkShape) > MAX_VALUES)
      throw new LimitExceededError(`${this.#url} has ${count} values; up to ${MAX_VALUES} are read.`, {
        url: this.#url,
      })
    const { data } = await translating(this.#url, () => zarr.get(this.#array))
    return Array.from(data as Iterable<unknown>, value => (typeof value === 'string' ? value : Number(value)))
  }

  async #decode(place: readonly number[]): Promise<Chunk> {
    const { data, stride } = await translating(this.#url, () => this.#array.getChunk([...place]))
    const samples = numbersOf(data)
    if (samples?.length === product(this.chunkShape)) return { samples, strides: stride, first: 0 }
    const message = `${this.#url} has a chunk of ${samples?.length ?? 'no'} samples; ${product(this.chunkShape)} are expected.`
    throw new CorruptDataError(message, { url: this.#url })
  }

  /** Of a chunk that is too large to be unpacked for a part of it. */
  async #bandsOf(place: readonly number[]): Promise<BloscBands | undefined> {
    if (this.chunkBytes <= MAX_WHOLE_BYTES || !(this.dataType in NUMBER_ARRAYS)) return undefined
    const key = place.join()
    const known = this.#bands.get(key)
    if (known) return await known
    const bands = this.#openBands(place, this.chunkBytes)
    this.#bands.set(key, bands)
    bands.catch(() => this.#bands.delete(key))
    return await bands
  }

  #numbersIn(bytes: Uint8Array): ArrayLike<number> {
    const type = NUMBER_ARRAYS[this.dataType as keyof typeof NUMBER_ARRAYS]
    return numbersOf(new type(bytes.buffer as ArrayBuffer, 0, bytes.length / type.BYTES_PER_ELEMENT))!
  }

  /** Keep what is read for whoever is next; where the file may have changed unseen, only as long as it is being read. */
  #keep<Content>(key: string, bytes: number, read: () => Promise<Content>): Promise<Content> {
    const found = kept.get(key)
    if (found) return found.content as Promise<Content>
    const content = read()
    makeRoom(bytes)
    kept.set(key, { content, bytes })
    const forget = (): void => {
      if (kept.peek(key)?.content === content) kept.delete(key)
    }
    content.then(() => isSettled(this.#version.path) || forget(), forget)
    return content
  }
}

/** Whether another version of a file would have another stamp. */
function isSettled(path: string): boolean {
  try {
    return examineFile(path).isSettled
  } catch {
    return false
  }
}

/** How the chunks of an array are stored. */
interface Storage {
  readonly packer: string | undefined
  /** Whether their bytes are the samples one after the other, packed by blosc. */
  readonly isPlainBlosc: boolean
  /** Between the numbers of a chunk's name, where they are all of it. */
  readonly separator: string
}

/**
 * @param document `.zarray` or `zarr.json`.
 * @throws {UnsupportedDataError} chunks are packed several times, or in shards. @throws {CorruptDataError} no metadata.
 */
function readStorage(document: Uint8Array, url: string): Storage {
  let metadata: Partial<ArrayMetadata> | null
  try {
    metadata = JSON.parse(Buffer.from(document).toString('utf8'))
  } catch (cause) {
    throw new CorruptDataError(`${url} has metadata that is no JSON.`, { url, cause })
  }
  const { compressor, filters, codecs, order, dtype, data_type, dimension_separator: separator = '.' } = metadata ?? {}
  const coders = [compressor, filters, codecs].flat()
  const names = coders.map(coder => String(coder?.id ?? coder?.name))
  const packers = packersOf(names)
  if (packers.length > 1 || names.includes('sharding_indexed')) {
    const found = names.includes('sharding_indexed') ? 'sharded' : `packed by ${packers.join(' and ')}`
    throw new UnsupportedDataError(`${url} is ${found}; chunks that are packed once are read.`, { url })
  }
  // zarrita reads them where JavaScript has them, which is not everywhere that we run.
  if (/^([<>]f2|float16)$/.test(String(data_type ?? dtype)))
    throw new UnsupportedDataError(`${url} has samples of float16, which are not read.`, { url })
  const isPlain = !codecs && !filters?.length && order === 'C' && /^[<|]/.test(String(dtype))
  return { packer: packers[0], isPlainBlosc: isPlain && compressor?.id === 'blosc', separator }
}

/** What is looked at of the metadata of either generation. */
interface ArrayMetadata {
  readonly compressor: Coder
  readonly filters: readonly Coder[] | null
  readonly codecs: readonly Coder[]
  readonly order: unknown
  readonly dtype: unknown
  readonly dimension_separator: string
  readonly data_type: unknown
}

/** A step on the way from samples to stored bytes, as either generation names it. */
type Coder = { readonly id?: unknown; readonly name?: unknown } | null

/** Drop what was kept of other chunks where it would be too much beside the next one. */
function makeRoom(bytes: number): void {
  while (kept.size > 0 && kept.calculatedSize + bytes > Math.max(KEPT_CHUNK_BYTES, bytes)) kept.pop()
}

function numbersOf(data: unknown): ArrayLike<number> | undefined {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number)
  if (data instanceof zarr.BoolArray) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return ArrayBuffer.isView(data) ? (data as unknown as ArrayLike<number>) : undefined
}

function product(edges: readonly number[]): number {
  return edges.reduce((all, edge) => all * edge, 1)
}

/** What zarrita and its codecs throw, in our words. */
async function translating<Result>(url: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    // zarrita puts what its store throws into errors of its own.
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      if (cause instanceof TilestageError) throw cause
    const message = `${url} cannot be read: ${error instanceof Error ? error.message : error}.`
    const isUnknown = zarr.isZarritaError(error, 'UnknownCodecError', 'UnsupportedError')
    throw new (isUnknown ? UnsupportedDataError : CorruptDataError)(message, { url, cause: error })
  }
}
