/** A hyperslab: `count` elements from `offset` along each axis. */
export interface Slab {
  readonly offset: readonly number[]
  readonly count: readonly number[]
}

/**
 * Cut a slab into pieces of limited size that follow each other in memory: along its outermost axis, at the edges of
 * chunks where that is possible, and along the next axes where one step is too much already.
 *
 * @param elementBytes size of one element.
 * @param chunks edges of the chunks, as many as there are axes; undefined where the data is stored in one piece.
 * @param maxBytes of a piece; one element is never cut.
 * @returns in the order of their elements.
 */
export function* cutSlab(
  { offset, count }: Slab,
  elementBytes: number,
  chunks: readonly number[] | undefined,
  maxBytes: number,
  axis = 0,
): Generator<Slab> {
  const stepBytes = count.slice(axis + 1).reduce((product, edge) => product * edge, elementBytes)
  if (axis >= count.length || stepBytes * count[axis]! <= maxBytes) {
    yield { offset, count }
    return
  }
  const end = offset[axis]! + count[axis]!
  let next: number
  for (let start = offset[axis]!; start < end; start = next) {
    next = Math.min(end, endOfPiece(start, Math.max(1, Math.floor(maxBytes / stepBytes)), chunks?.[axis] ?? 1))
    const piece = { offset: offset.with(axis, start), count: count.with(axis, next - start) }
    yield* cutSlab(piece, elementBytes, chunks, maxBytes, axis + 1)
  }
}

/** At most `steps` further, and at the edge of a chunk if there is one on the way. */
function endOfPiece(start: number, steps: number, chunk: number): number {
  const edge = Math.floor((start + steps) / chunk) * chunk
  return edge > start ? edge : start + steps
}
