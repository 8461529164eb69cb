const PAGE_BYTES = 2 ** 16

interface Memory {
  readonly buffer: ArrayBuffer
  grow(this: Memory, pages: number): number
}

/** Node's types name no constructor of it. */
const { prototype } = (WebAssembly as unknown as { readonly Memory: { readonly prototype: Memory } }).Memory

/** Bound on the memory of WebAssembly: a damaged length has HDF5 ask for all that there is, and it never shrinks. */
export class HeapLimit {
  /** What the memory may grow to. */
  bytes = Number.POSITIVE_INFINITY

  /** To be called before h5wasm is imported. Who asks for more is told that there is none. */
  install(): void {
    const { grow } = prototype
    const limit = this
    prototype.grow = function (pages) {
      if (this.buffer.byteLength + pages * PAGE_BYTES > limit.bytes)
        throw new RangeError(`memory of more than ${limit.bytes} bytes`)
      return grow.call(this, pages)
    }
  }
}
