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
   * Grey values of samples: round(255 · tᵞ), t being the place between black and white, 0 … 1.
   *
   * @param black shown black, in stored values; `white` is shown white.
   * @param target of the length of `samples`.
   */
  shade(samples: Uint16Array, black: number, white: number, gamma: number, target: Uint8Array): void
}

/** Grey of one sample, 0 … 255. */
export function greyOf(sample: number, black: number, white: number, gamma: number): number {
  const t = Math.min(1, Math.max(0, (sample - black) / (white - black)))
  return Math.round(255 * (gamma === 1 ? t : t ** gamma))
}
