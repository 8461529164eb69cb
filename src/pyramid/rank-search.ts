import { allocateSamples, bytesOfSamples, SAMPLE_TYPES, type SampleArray, type SampleType } from '../plane.js'

/** Values of a word of 16 bits, and the bit of its sign. */
const WORDS = 2 ** 16
const SIGN = 2 ** 15

/** What is known of the sample at a rank: its highest words, and its rank among those that share them. */
interface Candidate {
  readonly prefix: number
  readonly rest: number
}

/**
 * Finds the samples at some ranks (0 is the smallest) among any number of them, exactly and in little memory, by
 * radix: a pass over all samples finds 16 bits of each, the highest first. One pass does for 8 and 16 bits.
 *
 * Samples are ordered as their bits are once the sign is turned around, and for negative floats all bits.
 */
export class RankSearch {
  readonly #type: SampleType
  /** Words of a sample. */
  readonly #width: number
  /** By the words before the one that this pass is about, read as a number: how often each word follows them. */
  #counts = new Map([[0, new Float64Array(WORDS)]])
  #candidates = new Map<number, Candidate>()
  #pass = 0

  constructor(type: SampleType) {
    this.#type = type
    this.#width = Math.ceil(SAMPLE_TYPES[type].bytes / 2)
  }

  /** Take more samples of this pass; none is NaN. */
  add(samples: SampleArray): void {
    const words = wordsOf(samples)
    const { integer, min } = SAMPLE_TYPES[this.#type]
    const width = this.#width
    const pass = this.#pass
    const isSigned = min !== 0
    const first = this.#counts.get(0)
    // In each sample the words stand the other way round: the highest, with the sign, is the last.
    for (let top = width - 1; top < words.length; top += width) {
      const flip = isSigned && !integer && words[top] >= SIGN ? WORDS - 1 : 0
      const highest = words[top] ^ (flip || (isSigned ? SIGN : 0))
      if (pass === 0) {
        if (first) first[highest]++
        continue
      }
      let prefix = highest
      for (let i = 1; i < pass; i++) prefix = prefix * WORDS + (words[top - i] ^ flip)
      const counts = this.#counts.get(prefix)
      if (counts) counts[words[top - pass] ^ flip]++
    }
  }

  /**
   * End a pass.
   *
   * @param ranks those that are searched, the same each time.
   * @returns whether all samples must be given once more.
   */
  endPass(ranks: readonly number[]): boolean {
    const found = new Map<number, Candidate>()
    for (const rank of ranks) {
      const { prefix, rest } = this.#candidates.get(rank) ?? { prefix: 0, rest: rank }
      const counts = this.#counts.get(prefix) ?? new Float64Array(WORDS)
      let word = 0
      let left = rest
      while (word < WORDS - 1 && left >= counts[word]) left -= counts[word++]
      found.set(rank, { prefix: prefix * WORDS + word, rest: left })
    }
    this.#candidates = found
    this.#pass++
    if (this.#pass === this.#width) return false
    this.#counts = new Map([...found.values()].map(({ prefix }) => [prefix, new Float64Array(WORDS)]))
    return true
  }

  /** The sample at a rank, after the last pass. */
  valueAt(rank: number): number {
    const { integer, min } = SAMPLE_TYPES[this.#type]
    const sample = allocateSamples(this.#type, 1)
    let rest = this.#candidates.get(rank)?.prefix ?? Number.NaN
    if (this.#type === 'uint8') return rest
    const words = wordsOf(sample)
    for (let i = 0; i < words.length; i++) {
      words[i] = rest % WORDS
      rest = Math.floor(rest / WORDS)
    }
    const top = words.length - 1
    if (min !== 0) {
      if (words[top] < SIGN && !integer) for (let i = 0; i < words.length; i++) words[i] ^= WORDS - 1
      else words[top] ^= SIGN
    }
    return sample[0]
  }
}

/** The samples 16 bits at a time; those of 8 bits as they are. */
function wordsOf(samples: SampleArray): Uint8Array | Uint16Array {
  if (samples instanceof Uint8Array) return samples
  const bytes = bytesOfSamples(samples)
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
}
