import { SAMPLE_TYPES } from '../../src/plane.js'
import { copyText } from '../parts/copy-text.js'
import { make, makeButton } from '../parts/make.js'
import { formatMean, formatNumber, formatSample, formatSquare } from '../parts/number-format.js'
import {
  type BoxUm,
  boxQuery,
  cropUrl,
  type RegionStatistics,
  readRegionHistogram,
  readStatistics,
} from '../server/measure-api.js'
import { type HistogramReply, reasonOf, type Window } from '../server/pyramid-api.js'
import { signDownload } from '../server/sign-download.js'
import { quoteField } from './line-profile.js'
import { SamplePlot } from './sample-plot.js'
import type { ShownChannelFacts, ShownPlanes } from './shown-channels.js'

/** What a region holds in one channel, as stored. */
interface ChannelNumbers {
  readonly facts: ShownChannelFacts
  readonly statistics: RegionStatistics
  readonly histogram: HistogramReply
}

const COLUMNS = ['count', 'areaUm2', 'mean', 'sd', 'median', 'min', 'max', 'sum'] as const

/** Statistics and histogram of a rectangle, as the server measures them. */
export class RegionView {
  readonly root = make('div', { class: 'region' })
  readonly #plot = new SamplePlot()
  readonly #axis = make('div', { class: 'plot-axis' })
  readonly #numbers = make('div', { class: 'numbers' })
  readonly #note = make('p', { class: 'soft small' })
  readonly #contrast: HTMLButtonElement
  readonly #crop = make('a', { class: 'button', text: 'Download 16 bit', download: '' })
  #read: readonly ChannelNumbers[] = []
  #reading = 0

  /** @param onContrast windows that suit what the region holds, by channel. */
  constructor(onContrast: (windows: ReadonlyMap<number, Window>) => void) {
    this.#contrast = makeButton('Auto contrast from this region', () =>
      onContrast(new Map(this.#read.map(({ facts, histogram }) => [facts.channel, histogram.window]))),
    )
    signDownload(this.#crop)
    const copy = makeButton('Copy as CSV', button => void copyText(this.#csv(), button))
    const ground = make('div', { class: 'ground' }, this.#plot.root)
    const actions = make('div', { class: 'actions' }, this.#contrast, this.#crop, copy)
    this.root.append(ground, this.#axis, this.#numbers, this.#note, actions)
  }

  /** Measure; what was shown stays until the numbers are there. @returns false where the server did not answer. */
  async show({ store, slice, channels }: ShownPlanes, box: BoxUm): Promise<boolean> {
    const reading = ++this.#reading
    const { pyramid } = store
    this.#crop.href = cropUrl(
      pyramid,
      'tif',
      boxQuery(box),
      channels.map(({ channel }) => channel),
      slice,
    )
    this.#crop.textContent = SAMPLE_TYPES[pyramid.sampleType].bytes === 2 ? 'Download 16 bit' : 'Download samples'
    try {
      const read = await Promise.all(
        channels.map(async facts => {
          const plane = { ...slice, channel: facts.channel }
          const [statistics, histogram] = await Promise.all([
            readStatistics(pyramid, plane, box),
            readRegionHistogram(pyramid, plane, box),
          ])
          return { facts, statistics: asStored(statistics), histogram }
        }),
      )
      if (reading !== this.#reading) return true
      this.#read = read
      this.#draw(SAMPLE_TYPES[pyramid.sampleType].integer)
      return true
    } catch (error) {
      if (reading !== this.#reading) return true
      this.#read = []
      this.#numbers.replaceChildren()
      this.#plot.show([], 0, 1)
      this.#axis.replaceChildren()
      this.#note.textContent = reasonOf(error)
      return !(error instanceof TypeError)
    } finally {
      this.#contrast.disabled = this.#read.length === 0
    }
  }

  #draw(integer: boolean): void {
    const read = this.#read
    const isNamed = read.length > 1
    this.#numbers.replaceChildren(...read.flatMap(channel => tableOf(channel, integer, isNamed)))
    const from = Math.min(...read.map(({ histogram }) => histogram.min))
    const to = Math.max(...read.map(({ histogram }) => histogram.max))
    const lines = read.map(({ facts, histogram }) => ({ colour: facts.colour, values: heights(histogram, from, to) }))
    this.#plot.show(lines, 0, Math.max(...lines.map(({ values }) => Math.max(...values)), 1))
    const ends = Number.isFinite(from) ? [from, to].map(value => formatSample(value, integer)) : ['', '']
    this.#axis.replaceChildren(make('span', { text: ends[0] }), make('span', { text: `${ends[1]} counts, log` }))
    const { level = 0, darkLevel = 0 } = read[0]?.statistics ?? {}
    const side = formatNumber(2 ** level)
    const notes = [
      level > 0 && `Measured on means of ${side} × ${side} px.`,
      darkLevel !== 0 && `Counts as stored; dark is ${formatNumber(darkLevel)}.`,
    ]
    this.#note.textContent = notes.filter(Boolean).join(' ')
  }

  #csv(): string {
    const heading = ['channel', ...COLUMNS, 'dark_level', 'level'].map(name => (name === 'areaUm2' ? 'area_um2' : name))
    const rows = this.#read.map(({ facts, statistics }) => [
      quoteField(facts.name),
      ...COLUMNS.map(name => statistics[name] ?? ''),
      statistics.darkLevel,
      statistics.level,
    ])
    return [heading, ...rows].map(row => `${row.join()}\r\n`).join('')
  }
}

/** The server counts from dark; the page shows what is stored everywhere. */
function asStored(statistics: RegionStatistics): RegionStatistics {
  const { darkLevel, count, mean, median, min, max, sum } = statistics
  const stored = (value: number | null): number | null => (value === null ? null : value + darkLevel)
  return {
    ...statistics,
    mean: stored(mean),
    median: stored(median),
    min: stored(min),
    max: stored(max),
    sum: sum === null ? null : sum + count * darkLevel,
  }
}

function tableOf({ facts, statistics }: ChannelNumbers, integer: boolean, isNamed: boolean): HTMLElement[] {
  const { count, areaUm2, mean, sd, median, min, max, sum } = statistics
  const known = (value: number | null, format: (value: number, integer: boolean) => string): string =>
    value === null ? '–' : format(value, integer)
  const rows: readonly (readonly [string, string])[] = [
    ['mean', known(mean, formatMean)],
    ['sd', known(sd, formatMean)],
    ['median', known(median, formatSample)],
    ['sum', known(sum, formatSample)],
    ['min', known(min, formatSample)],
    ['max', known(max, formatSample)],
    ['n', formatNumber(count)],
    ['area', formatSquare(areaUm2)],
  ]
  const swatch = make('i', { class: 'swatch', style: `background:${facts.colour}` })
  const list = make('dl', { class: 'facts' })
  for (const [term, value] of rows)
    list.append(make('div', {}, make('dt', { text: term }), make('dd', { text: value })))
  return isNamed ? [make('h3', {}, swatch, facts.name), list] : [list]
}

/** Logarithms of the counts of a histogram over a common axis. */
function heights({ binStart, binWidth, counts }: HistogramReply, from: number, to: number): Float64Array {
  const steps = 128
  const sums = new Float64Array(steps)
  counts.forEach((count, bin) => {
    const share = (binStart + (bin + 0.5) * binWidth - from) / (to - from || 1)
    const step = Math.min(steps - 1, Math.max(0, Math.floor(share * steps)))
    sums[step] = (sums[step] as number) + count
  })
  return sums.map(sum => Math.log1p(sum))
}
