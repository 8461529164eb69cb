/** What one element of a dataset or an attribute is. Elements are delivered little endian, whatever the file has. */
export type Hdf5Type =
  | { readonly kind: 'integer' | 'bitfield'; readonly bytes: number; readonly isSigned: boolean }
  | { readonly kind: 'float'; readonly bytes: number }
  | { readonly kind: 'string'; readonly bytes: number; readonly isAscii: boolean; readonly isVariable: boolean }
  | {
      readonly kind: 'enum'
      readonly bytes: number
      readonly isSigned: boolean
      readonly names: Readonly<Record<string, number>>
    }
  | { readonly kind: 'compound'; readonly bytes: number; readonly members: readonly Hdf5Member[] }
  | { readonly kind: 'array'; readonly bytes: number; readonly shape: readonly number[]; readonly element: Hdf5Type }
  /** Rows of any length. `bytes` is that of a pointer, which says nothing of them. */
  | { readonly kind: 'rows'; readonly bytes: number; readonly element: Hdf5Type }
  /** What another object, or a region of a dataset, is named by. */
  | { readonly kind: 'reference'; readonly bytes: number; readonly isRegion: boolean }
  | { readonly kind: 'time' | 'opaque'; readonly bytes: number }

/** A field of a compound. */
export interface Hdf5Member {
  readonly name: string
  /** Bytes from the start of the compound. */
  readonly offset: number
  readonly type: Hdf5Type
}

export interface Hdf5Filter {
  readonly id: number
  readonly name: string
  /** What the filter was set up with when the dataset was made. */
  readonly parameters: readonly number[]
}

export interface Hdf5Attribute {
  readonly type: Hdf5Type
  /** Empty for a single value; null where it holds none. */
  readonly shape: readonly number[] | null
  /**
   * One value for a scalar, else all of them in one array, last index fastest; undefined for what `hdf5-values.ts` does
   * not decode. A reference is the path that it leads to, in an attribute whose elements are references or rows of them;
   * undefined where it leads nowhere, or to a region.
   */
  readonly value: unknown
}

interface Hdf5Described {
  readonly attributes: Readonly<Record<string, Hdf5Attribute>>
}

export interface Hdf5Group extends Hdf5Described {
  readonly kind: 'group'
  /** Undefined below the depth that was asked for. */
  readonly children: Readonly<Record<string, Hdf5Object>> | undefined
}

export interface Hdf5Dataset extends Hdf5Described {
  readonly kind: 'dataset'
  readonly type: Hdf5Type
  /** Null where it is empty. Says what is announced, not what is there: no memory may be taken by it. */
  readonly shape: readonly number[] | null
  /** Undefined where it is stored in one piece. */
  readonly chunks: readonly number[] | undefined
  /** In the order in which they were applied. */
  readonly filters: readonly Hdf5Filter[]
}

/** A named type, which is described no further. */
export interface Hdf5NamedType extends Hdf5Described {
  readonly kind: 'type'
}

/** A link, which is described and not followed. */
export interface Hdf5Link {
  readonly kind: 'soft-link' | 'external-link'
  /** A path in this file, or another file and a path in it, parted by a colon. */
  readonly target: string
}

export type Hdf5Object = Hdf5Group | Hdf5Dataset | Hdf5NamedType | Hdf5Link

/** Part of a dataset. */
export interface Hdf5Slab {
  readonly type: Hdf5Type
  readonly shape: readonly number[]
  /** The elements, last index fastest. */
  readonly bytes: Uint8Array
}

/** What is asked of the thread, and what it answers. */
export interface Hdf5Operations {
  /** An object with its attributes, and what lies below it down to `depth` levels. */
  describe: { readonly ask: { readonly at: string; readonly depth: number }; readonly answer: Hdf5Object }
  readAttribute: { readonly ask: { readonly of: string; readonly name: string }; readonly answer: Hdf5Attribute }
  read: {
    readonly ask: { readonly dataset: string; readonly offset: readonly number[]; readonly count: readonly number[] }
    readonly answer: Hdf5Slab
  }
  /** Rows of any length, each as the bytes of its elements. */
  readRows: {
    readonly ask: { readonly dataset: string; readonly start: number; readonly count: number }
    readonly answer: readonly Uint8Array[]
  }
}

export type Hdf5Operation = keyof Hdf5Operations

/** A call, as it is posted to the thread. */
export type Hdf5Call = {
  [Name in Hdf5Operation]: {
    readonly id: number
    readonly file: string
    /** Folders in which a file that this one links to may lie; its own folder where undefined. */
    readonly roots: readonly string[] | undefined
    readonly operation: Name
    readonly ask: Hdf5Operations[Name]['ask']
  }
}[Hdf5Operation]

/** An error on its way out of the thread. */
export interface Hdf5Failure {
  /** Name of one of our classes; anything else is a bug. */
  readonly name: string
  readonly message: string
  /** What HDF5 itself said. */
  readonly reason: string | undefined
}

export type Hdf5Reply = {
  readonly id: number
  /** What the thread's WebAssembly memory has grown to; it never shrinks. */
  readonly heapBytes: number
} & ({ readonly answer: Hdf5Operations[Hdf5Operation]['answer'] } | { readonly failure: Hdf5Failure })
