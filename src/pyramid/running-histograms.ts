import type { SampleType } from '../plane.js'
import { type Histogram, HistogramBuilder } from './histogram.js'
import type { LineRange } from './journal-lines.js'
import { nameOfShard, type ShardEntry } from './shard-entry.js'

/** Histograms of a growing pyramid's channels at full resolution, after the entries of its journal so far. */
export class RunningHistograms {
  readonly #sampleType: SampleType
  readonly #builders: HistogramBuilder[]
  /** Where the journal has what was counted of a shard. */
  readonly #counted = new Map<string, LineRange>()

  constructor(sampleType: SampleType, channels: number) {
    this.#sampleType = sampleType
    this.#builders = Array.from({ length: channels }, () => new HistogramBuilder(sampleType))
  }

  /** Begin anew: the journal is another one. */
  restart(): void {
    this.#counted.clear()
    for (const channel of this.#builders.keys()) this.#builders[channel] = new HistogramBuilder(this.#sampleType)
  }

  /**
   * Count a shard. Only level 0 counts.
   * @returns where the entry is that this one replaces, for `remove`.
   */
  add(entry: ShardEntry, range: LineRange): LineRange | undefined {
    const builder = this.#builders[entry.selection.channel]
    if (entry.level > 0 || !builder) return undefined
    builder.merge(entry.histogram)
    const name = nameOfShard(entry)
    const replaced = this.#counted.get(name)
    this.#counted.set(name, range)
    return replaced
  }

  /** Take out what was counted of a shard before. */
  remove({ selection, histogram }: ShardEntry): void {
    const counts = histogram.counts.map(count => -count)
    this.#builders[selection.channel].merge({ ...histogram, counts, total: -histogram.total })
  }

  /** @throws {RangeError} no such channel. */
  histogram(channel: number): Histogram {
    if (!this.#builders[channel]) throw new RangeError(`no channel ${channel}`)
    const histogram = this.#builders[channel].finish()
    // Bins of floats were widened meanwhile, so a shard may have been taken out beside where it was counted.
    return { ...histogram, counts: histogram.counts.map(count => Math.max(0, count)) }
  }
}
