/** One frame of a cell that is blended: a rectangle of its samples, row-major, and their weights along both axes. */
export interface WeightedSource {
  readonly samples: Uint16Array
  /** Of the cell's first sample. */
  readonly offset: number
  /** Samples from row to row. */
  readonly stride: number
  /** Whole numbers: a sample's weight is weightsX[offsetX + column] · weightsY[offsetY + row]. */
  readonly weightsX: Uint16Array
  readonly offsetX: number
  readonly weightsY: Uint16Array
  readonly offsetY: number
}

/**
 * The loops over samples, as machine code (`createKernels`) and in plain TypeScript (`createReferenceKernels`). Both give
 * the same samples; only the compressed bytes of a tile differ.
 *
 * All arrays are views of memory that `allocate` handed out; an offset or a stride counts elements of its array. Samples are
 * little endian. An array from elsewhere is a TypeError, a rectangle that leaves its array a RangeError.
 */
export interface Kernels {
  /**
   * Memory for the other functions: zeroed, 16-byte aligned, never freed.
   *
   * @throws {RangeError} the arena is used up.
   */
  allocate(bytes: number): Uint8Array

  /**
   * Decode Huffman streams (see `sources/pyme/huffman.ts`), two at a time in one loop: hand over several at once.
   *
   * @param inputs each a whole stream and nothing else.
   * @param outputs each filled to its end.
   * @returns for each whether it was decoded. What a damaged one left in its output is undefined; `decodeHuffman` says what
   *   is wrong with it.
   */
  decodeHuffman(inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): boolean[]

  /** Copy a rectangle of samples. The two may not overlap. */
  copy(
    target: Uint16Array,
    targetOffset: number,
    targetStride: number,
    samples: Uint16Array,
    offset: number,
    stride: number,
    width: number,
    height: number,
  ): void

  /**
   * Blend a cell, which is a rectangle with a fixed set of frames: the weighted mean of their samples, rounded half to
   * even. It is exact while the sums of weight · sample stay below 2^53.
   *
   * @param frames 1 … 1024 of them; no sample's weights are all 0.
   */
  average(
    target: Uint16Array,
    targetOffset: number,
    targetStride: number,
    width: number,
    height: number,
    frames: readonly WeightedSource[],
  ): void

  /** Sum of the samples of a rectangle. */
  sum(samples: Uint16Array, offset: number, stride: number, width: number, height: number): number

  /**
   * Halve a tile: mean of the covered ones of 2 × 2 samples, rounded half to even; 0 where none is covered.
   *
   * @param samples of shape [edge, edge]; the edge is even.
   * @param mask of the same shape, 0 = not covered; undefined: all are.
   * @param absentAs what samples that are not covered count as; undefined leaves them out of the mean.
   * @param target its place of shape [edge / 2, edge / 2] starts at `targetOffset`.
   */
  reduce(
    samples: Uint16Array,
    edge: number,
    mask: Uint8Array | undefined,
    absentAs: number | undefined,
    target: Uint16Array,
    targetOffset: number,
    targetStride: number,
  ): void

  /**
   * Count covered samples.
   *
   * @param mask one byte a sample, 0 = not covered; undefined: all are.
   * @param counts of length 65,536; the count of each sample's value is increased.
   */
  histogram(samples: Uint16Array, mask: Uint8Array | undefined, counts: Uint32Array): void

  /**
   * Encode a tile as a Blosc frame (see `pyramid/blosc.ts`). The same samples give the same bytes, wherever they lie.
   *
   * @param samples 128 … 1024² of them.
   * @param out has room for a frame that does not shrink: 28 + 2 · samples bytes from `at` on.
   * @returns the length of the frame.
   */
  encodeTile(samples: Uint16Array, out: Uint8Array, at: number): number

  /**
   * Unpack one LZ4 block.
   *
   * @param target filled to its end.
   * @returns whether the block held exactly so many bytes. What a damaged one left in the target is undefined.
   */
  unpackLz4(packed: Uint8Array, target: Uint8Array): boolean

  /**
   * Put samples together from planes of their bytes: the first bytes of all samples, then the second ones, and so on.
   *
   * @param size bytes of a sample: 2, 4 or 8.
   * @param target of the length of `planes`, a whole number of samples.
   */
  unshuffle(planes: Uint8Array, size: number, target: Uint8Array): void

  /**
   * The entry of a table for each sample.
   *
   * @param table of length 65,536.
   * @param target of the length of `samples`.
   */
  lookUp(samples: Uint16Array, table: Uint8Array, target: Uint8Array): void

  /**
   * Filter rows of a PNG with its filter "Average": differences from ⌊(left + above) / 2⌋.
   *
   * @param pixels the row above, zeros for the first, and then the rows.
   * @param pixelBytes from a byte to the one on its left; outside the picture is 0.
   * @param target for each row a byte that names the filter, and the differences.
   */
  filterAverage(pixels: Uint8Array, rowBytes: number, pixelBytes: number, target: Uint8Array): void

  /**
   * The symbols by which a deflate block stands for bytes: the bytes themselves, and for longer runs matches at distance 1.
   *
   * @param matchOfRun of length 259: the symbol of the longest match in a run of so many bytes.
   * @param lengthOfMatch of length 286: the length of the match that a symbol stands for.
   * @param symbols has room for as many as there are bytes.
   * @param counts of length 286; the count of each symbol is increased.
   * @returns how many symbols there are.
   */
  findSymbols(
    bytes: Uint8Array,
    matchOfRun: Uint16Array,
    lengthOfMatch: Uint16Array,
    symbols: Uint16Array,
    counts: Uint32Array,
  ): number

  /**
   * Write the codes of symbols, their first bits lowest.
   *
   * @param codes of length 286: the bits of a code, times 256, plus how many there are; at most 24.
   * @param out has room for three bytes a symbol and eight more.
   * @param bit where to begin, in bits from the start of `out`; those before stay.
   * @returns the bit behind the last one.
   */
  writeCodes(symbols: Uint16Array, codes: Uint32Array, out: Uint8Array, bit: number): number

  /** Adler-32 checksum of bytes and of those before, whose checksum is `sum`; 1 of none. */
  adler32(bytes: Uint8Array, sum: number): number
}
