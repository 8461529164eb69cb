import type { Module as h5wasm } from 'h5wasm/node'
import {
  CorruptDataError,
  LimitExceededError,
  NotFoundError,
  TilestageError,
  UnsupportedDataError,
} from '../../errors.js'
import { typeOf } from './h5wasm-type.js'
import { expectReadableFilters, nameFilters } from './hdf5-filters.js'
import type { Hdf5Jail } from './hdf5-jail.js'
import type {
  Hdf5Attribute,
  Hdf5Call,
  Hdf5Filter,
  Hdf5Object,
  Hdf5Operation,
  Hdf5Operations,
  Hdf5Slab,
  Hdf5Type,
} from './hdf5-messages.js'
import { decodeText, decodeValues, holdsPointers, isRows, nameType } from './hdf5-values.js'
import type { HeapLimit } from './heap-limit.js'
import { type OpenFile, OpenFiles } from './open-files.js'
import { cutSlab } from './slab-pieces.js'

/** Read at once: the memory of WebAssembly never shrinks. */
const MAX_PIECE_BYTES = 64 * 2 ** 20
/** A chunk is decoded as a whole, and what its size says is taken before anything is known of its data. */
const MAX_CHUNK_BYTES = 256 * 2 ** 20
/** Far above any frame. */
const MAX_SLAB_BYTES = 2 ** 30
const MAX_ATTRIBUTE_BYTES = 16 * 2 ** 20
/** Attributes up to here are read along with their object. */
const MAX_LISTED_BYTES = 64 * 2 ** 10
const MAX_OBJECTS = 10_000
/** Of all attributes that are read at once: an object with many of them may be linked to from everywhere. */
const MAX_READ_BYTES = 128 * 2 ** 20
/** What looking things up, and reading small chunks, takes at most: all attributes, a piece, and what HDF5 itself keeps. */
const MAX_HEAP_BYTES = 256 * 2 ** 20
/** Of a chunk: packed, unpacked, and between two filters. */
const COPIES_OF_CHUNK = 3
/** Rows read at once: their lengths are not known before. */
const MAX_ROWS = 64

/** A dataset that may be read. */
interface ReadableDataset {
  readonly type: Hdf5Type
  readonly shape: readonly number[] | null
  readonly chunks: readonly number[] | undefined
  readonly filters: readonly Hdf5Filter[]
}

/**
 * HDF5 behind the operations of `Hdf5Operations`; blocks. The rules come from what h5wasm was found to do: it goes on
 * after a failed read with whatever its memory held, after a failed open with a handle of −1, and sees the old content of
 * a file that was overwritten as long as any handle is open.
 */
export class Hdf5Library {
  readonly #module: typeof h5wasm
  readonly #jail: Hdf5Jail
  readonly #heap: HeapLimit
  readonly #files: OpenFiles<ReadableDataset>
  /** Of attributes, in the operation under way. */
  #attributeBytes = 0

  constructor(module: typeof h5wasm, jail: Hdf5Jail, heap: HeapLimit) {
    this.#module = module
    this.#jail = jail
    this.#heap = heap
    this.#files = new OpenFiles(module, jail)
  }

  get heapBytes(): number {
    return this.#module.HEAPU8.byteLength
  }

  /** What HDF5 said of the last operation. */
  get reason(): string | undefined {
    return this.#jail.reason
  }

  /** @throws {TilestageError} as `Hdf5Pool.call`. Any other error means that this library is not to be used any more. */
  perform(call: Hdf5Call): Hdf5Operations[Hdf5Operation]['answer'] {
    const { file, roots } = call
    this.#jail.enter(file, roots)
    this.#heap.bytes = MAX_HEAP_BYTES
    this.#attributeBytes = 0
    try {
      return this.#dispatch(call)
    } catch (error) {
      if (!(error instanceof Error) || error instanceof TilestageError) throw error
      // What WebAssembly was in the midst of when it stopped is not known; and these are ours.
      if (error.name === 'RuntimeError' || error instanceof RangeError || error instanceof TypeError) throw error
      // h5wasm throws plain errors where HDF5 cannot find its way through a file.
      this.#throwIfRefused(file, 'a link in it')
      throw new CorruptDataError(`${file} is damaged: ${this.reason ?? error.message}.`, { url: file })
    }
  }

  #dispatch({ file, operation, ask }: Hdf5Call): Hdf5Operations[Hdf5Operation]['answer'] {
    switch (operation) {
      case 'describe':
        return this.#describe(file, ask)
      case 'readAttribute':
        return this.#readNamedAttribute(file, ask)
      case 'read':
        return this.#read(file, ask)
      case 'readRows':
        return this.#readRows(file, ask)
    }
  }

  #describe(file: string, { at, depth }: Hdf5Operations['describe']['ask']): Hdf5Object {
    const { id } = this.#files.use(file)
    let left = MAX_OBJECTS
    const visit = (path: string, below: number): Hdf5Object => {
      if (--left < 0) {
        throw new LimitExceededError(`${file} has more than ${MAX_OBJECTS} objects below ${at}; no more are listed.`, {
          url: file,
        })
      }
      const link = path === at ? undefined : this.#describeLink(id, path)
      return link ?? this.#describeObject(id, file, path, below, visit)
    }
    return visit(at, depth)
  }

  #readNamedAttribute(file: string, { of, name }: Hdf5Operations['readAttribute']['ask']): Hdf5Attribute {
    const { id } = this.#files.use(file)
    this.#typeOfObject(id, file, of)
    const names = this.#module.get_attribute_names(id, of)
    if (!names.includes(name)) {
      throw new NotFoundError(`${file}: ${of} has no attribute ${name}; ${listNames(names)}.`, { url: file })
    }
    return this.#readAttribute(id, file, of, name, MAX_ATTRIBUTE_BYTES)
  }

  #read(file: string, { dataset, offset, count }: Hdf5Operations['read']['ask']): Hdf5Slab {
    const opened = this.#files.use(file)
    const { id } = opened
    const { type, shape, chunks, filters } = this.#examine(opened, file, dataset)
    expectWithin(shape, { offset, count }, dataset, file)
    if (holdsPointers(type)) {
      throw new UnsupportedDataError(
        `${file}: the dataset ${dataset} has parts of any length and is no block of plain elements.`,
        { url: file },
      )
    }
    const total = count.reduce((product, edge) => product * edge, type.bytes)
    if (total > MAX_SLAB_BYTES) throw tooLarge(file, dataset, total)
    if (total <= MAX_PIECE_BYTES) {
      let bytes = new Uint8Array()
      if (total > 0)
        this.#readInto(id, file, dataset, filters, { offset, count }, total, read => (bytes = read.slice()))
      return { type, shape: count, bytes }
    }
    const bytes = new Uint8Array(total)
    let filled = 0
    for (const piece of cutSlab({ offset, count }, type.bytes, chunks, MAX_PIECE_BYTES)) {
      const pieceBytes = piece.count.reduce((product, edge) => product * edge, type.bytes)
      this.#readInto(id, file, dataset, filters, piece, pieceBytes, read => bytes.set(read, filled))
      filled += pieceBytes
    }
    return { type, shape: count, bytes }
  }

  #readRows(file: string, { dataset, start, count }: Hdf5Operations['readRows']['ask']): Uint8Array[] {
    const opened = this.#files.use(file)
    const { id } = opened
    const { type, shape, filters } = this.#examine(opened, file, dataset)
    expectWithin(shape, { offset: [start], count: [count] }, dataset, file)
    if (!isRows(type)) {
      throw new UnsupportedDataError(
        `${file}: the dataset ${dataset} holds elements of type ${nameType(type)}, not plain rows of any length.`,
        { url: file },
      )
    }
    if (count > MAX_ROWS) throw new RangeError(`${count} rows at once; up to ${MAX_ROWS} are read`)
    // The rows, and the part of the file that they come from.
    this.#heap.bytes += 2 * MAX_CHUNK_BYTES
    const slab = { offset: [start], count: [count] }
    let rows: Uint8Array[] = []
    this.#readInto(id, file, dataset, filters, slab, count * type.bytes, (pointers, address) => {
      try {
        rows = this.#rowsBehind(type, pointers)
      } finally {
        this.#module.reclaim_vlen_memory_count(id, dataset, '', BigInt(address), [BigInt(count)])
      }
      const total = rows.reduce((sum, row) => sum + row.length, 0)
      if (total > MAX_CHUNK_BYTES) throw tooLarge(file, dataset, total)
    })
    return rows
  }

  #describeObject(
    id: bigint,
    file: string,
    path: string,
    depth: number,
    visit: (path: string, depth: number) => Hdf5Object,
  ): Hdf5Object {
    const kind = this.#typeOfObject(id, file, path)
    const attributes = Object.fromEntries(
      this.#module
        .get_attribute_names(id, path)
        .map(name => [name, this.#readAttribute(id, file, path, name, MAX_LISTED_BYTES)]),
    )
    if (kind === 'type') return { kind, attributes }
    if (kind === 'dataset') {
      const metadata = this.#module.get_dataset_metadata(id, path)
      const { shape, chunks } = metadata
      const filters = this.#filtersOf(id, path)
      return { kind, attributes, type: typeOf(metadata), shape, chunks: chunks ?? undefined, filters }
    }
    if (depth === 0) return { kind, attributes, children: undefined }
    const names = this.#module.get_names(id, path, false)
    const children = names.map(name => [name, visit(path === '/' ? `/${name}` : `${path}/${name}`, depth - 1)] as const)
    return { kind, attributes, children: Object.fromEntries(children) }
  }

  #describeLink(id: bigint, path: string): Hdf5Object | undefined {
    const target = this.#module.get_symbolic_link(id, path)
    if (typeof target === 'string') return { kind: 'soft-link', target }
    const external = this.#module.get_external_link(id, path)
    if (external.filename === undefined) return undefined
    return { kind: 'external-link', target: `${external.filename}:${external.obj_path}` }
  }

  /** @throws {NotFoundError | UnsupportedDataError} there is no such object, or it lies behind a link that is not followed. */
  #typeOfObject(id: bigint, file: string, path: string): 'group' | 'dataset' | 'type' {
    const { H5G_GROUP, H5G_DATASET, H5G_TYPE, H5G_LINK, H5G_UDLINK } = this.#module
    switch (this.#module.get_type(id, path)) {
      case H5G_GROUP:
        return 'group'
      case H5G_DATASET:
        return 'dataset'
      case H5G_TYPE:
        return 'type'
      case H5G_LINK:
        throw new NotFoundError(
          `${file}: ${path} is a link to ${this.#module.get_symbolic_link(id, path)}, which is not there.`,
          { url: file },
        )
      case H5G_UDLINK:
        this.#throwIfRefused(file, path)
        throw new NotFoundError(
          `${file}: ${path} is a link to ${this.#module.get_external_link(id, path).filename}, which cannot be opened.`,
          { url: file },
        )
      default:
        throw new NotFoundError(
          `${file} holds no ${path}; at its top ${listNames(this.#module.get_names(id, '/', false))}.`,
          { url: file },
        )
    }
  }

  /** What is known of a dataset, once it is clear that it may be read. */
  #examine({ id, datasets }: OpenFile<ReadableDataset>, file: string, dataset: string): ReadableDataset {
    const known = datasets.get(dataset)
    if (known) {
      this.#makeRoom(known)
      return known
    }
    const kind = this.#typeOfObject(id, file, dataset)
    if (kind !== 'dataset') throw new NotFoundError(`${file}: ${dataset} is a ${kind}, not a dataset.`, { url: file })
    const metadata = this.#module.get_dataset_metadata(id, dataset)
    const type = typeOf(metadata)
    const filters = this.#filtersOf(id, dataset)
    expectReadableFilters(filters, dataset, file)
    const chunkBytes = metadata.chunks?.reduce((product, edge) => product * edge, type.bytes) ?? 0
    if (chunkBytes > MAX_CHUNK_BYTES) {
      throw new LimitExceededError(
        `${file}: the dataset ${dataset} has chunks of ${Math.round(chunkBytes / 2 ** 20)} MiB; up to ${MAX_CHUNK_BYTES / 2 ** 20} MiB are read.`,
        { url: file },
      )
    }
    const readable = { type, shape: metadata.shape, chunks: metadata.chunks ?? undefined, filters }
    datasets.set(dataset, readable)
    this.#makeRoom(readable)
    return readable
  }

  /** For decoding chunks of a dataset, beside what was there before. */
  #makeRoom({ type, chunks = [] }: ReadableDataset): void {
    const chunkBytes = chunks.reduce((product, edge) => product * edge, type.bytes)
    this.#heap.bytes = MAX_HEAP_BYTES + COPIES_OF_CHUNK * chunkBytes
  }

  #filtersOf(id: bigint, dataset: string): Hdf5Filter[] {
    const filters = this.#module.get_dataset_filters(id, dataset)
    return filters.map(({ id, name, cd_values }) => ({ id, name, parameters: cd_values }))
  }

  /**
   * Read a slab into WebAssembly's memory, and hand out what was read while it is there.
   *
   * @param use called only where HDF5 says that it succeeded.
   */
  #readInto(
    id: bigint,
    file: string,
    dataset: string,
    filters: readonly Hdf5Filter[],
    { offset, count }: { readonly offset: readonly number[]; readonly count: readonly number[] },
    byteLength: number,
    use: (bytes: Uint8Array, address: number) => void,
  ): void {
    const address = this.#allocate(byteLength, file, dataset)
    try {
      // HDF5 leaves out chunks that were never written where the file asks for it: what the memory held before must not
      // be taken for their content.
      this.#module.HEAPU8.fill(0, address, address + byteLength)
      const [counts, offsets] = [count.map(BigInt), offset.map(BigInt)]
      const all = count.length === 0
      const strides = count.map(() => 1n)
      const status = all
        ? this.#module.get_dataset_data(id, dataset, null, null, null, BigInt(address))
        : this.#module.get_dataset_data(id, dataset, counts, offsets, strides, BigInt(address))
      this.#throwIfRefused(file, dataset)
      if (status < 0) throw unreadable(file, dataset, offset, filters, this.reason)
      use(this.#module.HEAPU8.subarray(address, address + byteLength), address)
    } finally {
      this.#module._free(address)
    }
  }

  #readAttribute(id: bigint, file: string, of: string, name: string, maxBytes: number): Hdf5Attribute {
    const metadata = this.#module.get_attribute_metadata(id, of, name)
    const where = `the attribute ${name} of ${of}`
    const type = typeOf(metadata)
    const { shape, total_size: count } = metadata
    const byteLength = count * type.bytes
    const isRead = byteLength > 0 && byteLength <= maxBytes && (isRows(type) || !holdsPointers(type))
    if (shape === null || !isRead) return { type, shape, value: undefined }
    this.#countAttribute(byteLength, file)
    const address = this.#allocate(byteLength, file, where)
    let values: readonly unknown[] | undefined
    try {
      this.#module.HEAPU8.fill(0, address, address + byteLength)
      const status = this.#module.get_attribute_data(id, of, name, BigInt(address))
      if (status < 0) throw unreadable(file, where, [], [], this.reason)
      const bytes = this.#module.HEAPU8.subarray(address, address + byteLength)
      if (isRows(type)) {
        const rows = this.#rowsBehind(type, bytes)
        for (const row of rows) this.#countAttribute(row.length, file)
        this.#module.reclaim_vlen_memory(id, of, name, BigInt(address))
        values =
          type.kind === 'rows' ? rows.map(row => this.#follow(id, type.element, row) ?? row) : rows.map(decodeText)
      } else values = this.#follow(id, type, bytes) ?? decodeValues(type, bytes, count)
    } finally {
      this.#module._free(address)
    }
    return { type, shape, value: shape.length === 0 ? values?.[0] : values }
  }

  /** @throws {LimitExceededError} the attributes that are read at once are too long. */
  #countAttribute(byteLength: number, file: string): void {
    this.#attributeBytes += byteLength
    if (this.#attributeBytes <= MAX_READ_BYTES) return
    throw new LimitExceededError(
      `${file} has attributes of more than ${MAX_READ_BYTES / 2 ** 20} MiB; no more are read at once.`,
      { url: file },
    )
  }

  /**
   * The paths that references lead to; undefined where elements are none. Those to regions are not followed: HDF5 takes a
   * region apart on the way, and with a damaged one it does not come to an end.
   */
  #follow(id: bigint, type: Hdf5Type, bytes: Uint8Array): (string | undefined)[] | undefined {
    if (type.kind !== 'reference') return undefined
    return Array.from({ length: bytes.length / type.bytes }, (_, i) => {
      const reference = bytes.slice(i * type.bytes, (i + 1) * type.bytes)
      return type.isRegion ? undefined : (this.#module.get_referenced_name(id, reference, true) ?? undefined)
    })
  }

  /** The rows that pointers lead to: pairs of length and address, or addresses of texts that end with a zero. */
  #rowsBehind(type: Hdf5Type, pointers: Uint8Array): Uint8Array[] {
    const memory = this.#module.HEAPU8
    const words = new Uint32Array(pointers.slice().buffer)
    if (type.kind === 'rows') {
      return Array.from({ length: words.length / 2 }, (_, i) => {
        const [elements, address] = [words[2 * i]!, words[2 * i + 1]!]
        return memory.slice(address, address + elements * type.element.bytes)
      })
    }
    return Array.from(words, address =>
      address === 0 ? new Uint8Array() : memory.slice(address, memory.indexOf(0, address)),
    )
  }

  #allocate(byteLength: number, file: string, where: string): number {
    const address = this.#module._malloc(byteLength)
    if (address === 0) throw tooLarge(file, where, byteLength)
    return address
  }

  #throwIfRefused(file: string, path: string): void {
    const [refused] = this.#jail.refused
    if (refused === undefined) return
    throw new UnsupportedDataError(
      `${file}: ${path} leads to ${refused}, which lies outside of the folders that may be read.`,
      { url: file },
    )
  }
}

function expectWithin(
  shape: readonly number[] | null,
  { offset, count }: { readonly offset: readonly number[]; readonly count: readonly number[] },
  dataset: string,
  file: string,
): void {
  const fits =
    shape?.length === count.length &&
    shape.length === offset.length &&
    shape.every((edge, axis) => offset[axis]! >= 0 && count[axis]! >= 0 && offset[axis]! + count[axis]! <= edge)
  if (fits) return
  const found = shape === null ? 'no elements' : shape.length === 0 ? 'one value' : `${shape.join(' × ')} elements`
  throw new NotFoundError(
    `${file}: the dataset ${dataset} has ${found}, and ${count.join(' × ')} from ${offset.join(', ')} on are asked for.`,
    { url: file },
  )
}

function unreadable(
  file: string,
  where: string,
  offset: readonly number[],
  filters: readonly Hdf5Filter[],
  reason: string | undefined,
): CorruptDataError {
  const place = offset.length === 0 ? '' : ` from ${offset.join(', ')} on`
  const through = filters.length === 0 ? '' : ` through ${nameFilters(filters)}`
  return new CorruptDataError(
    `${file} is damaged: ${where} cannot be read${place}${through} (${reason ?? 'HDF5 does not say why'}).`,
    { url: file, cause: reason },
  )
}

function tooLarge(file: string, where: string, bytes: number): LimitExceededError {
  return new LimitExceededError(
    `${file}: ${Math.round(bytes / 2 ** 20)} MiB of ${where} were to be read at once; up to ${MAX_SLAB_BYTES / 2 ** 20} MiB are.`,
    { url: file },
  )
}

function listNames(names: readonly string[]): string {
  if (names.length === 0) return 'there is nothing'
  const more = names.length > 8 ? ` and ${names.length - 8} more` : ''
  return `there are ${names.slice(0, 8).join(', ')}${more}`
}
