import type { SampleArray } from '../../plane.js'

/** So much is read at once at most, bytes. */
const MAX_SPAN_BYTES = 4 * 2 ** 20
/** So much is read as fast as a single sample is, bytes. */
const CHEAP_SPAN_BYTES = 64 * 2 ** 10
/** Of more than that, one sample of so many must be needed. */
const WORTH = 8

/** An axis along which samples are gathered. */
export interface GatherAxis {
  readonly length: number
  /** From one sample to the next where they come from, and where they go to. */
  readonly from: number
  readonly to: number
}

/**
 * Bring samples that lie at regular distances in a file to other distances in memory, in few and bounded reads.
 *
 * @param first of the samples, by its number in the file.
 * @param read gives the samples from a number on.
 */
export function gather(
  axes: readonly GatherAxis[],
  first: number,
  sampleBytes: number,
  read: (first: number, count: number) => SampleArray,
  into: SampleArray,
): void {
  const sorted = axes.filter(({ length }) => length > 1).sort((a, b) => b.from - a.from)
  let [outer, span, used] = [sorted.length, 1, 1]
  for (; outer > 0; outer--) {
    const { length, from } = sorted[outer - 1]!
    const wider = span + (length - 1) * from
    const bytes = wider * sampleBytes
    if (bytes > MAX_SPAN_BYTES) break
    if (outer < sorted.length && bytes > CHEAP_SPAN_BYTES && wider > WORTH * used * length) break
    span = wider
    used *= length
  }
  const inner = sorted.slice(outer)
  eachStep(sorted.slice(0, outer), first, 0, (from, to) => scatter(inner, read(from, span), 0, into, to))
}

function eachStep(
  axes: readonly GatherAxis[],
  from: number,
  to: number,
  work: (from: number, to: number) => void,
): void {
  const [axis, ...others] = axes
  if (!axis) work(from, to)
  else for (let i = 0; i < axis.length; i++) eachStep(others, from + i * axis.from, to + i * axis.to, work)
}

function scatter(
  axes: readonly GatherAxis[],
  samples: SampleArray,
  from: number,
  into: SampleArray,
  to: number,
  depth = 0,
): void {
  if (axes.length === 0) {
    into[to] = samples[from]!
    return
  }
  const { length, from: step, to: stride } = axes[depth]!
  if (depth < axes.length - 1) {
    for (let i = 0; i < length; i++) scatter(axes, samples, from + i * step, into, to + i * stride, depth + 1)
    return
  }
  for (let i = 0; i < length; i++) into[to + i * stride] = samples[from + i * step]!
}
