import { basename, resolve } from 'node:path'
import type { Flags } from '../config.js'
import { TilestageError, UsageError } from '../errors.js'
import { naturalOrder } from '../natural-order.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { type PyramidRecord, versionOf } from '../pyramid/pyramid-record.js'
import { readRecord, readSkippedFrames } from '../pyramid/pyramid-store.js'
import { type ReportDocument, readReport, worstPairs } from '../pyramid/report-file.js'
import { absoluteUrl } from '../sources/absolute-url.js'
import type { FrameSeries, FrameSource, PlaneAxis, SeriesItems } from '../sources/frame-source.js'
import { openSources } from '../sources/open-source.js'
import type { SourceOptions } from '../sources/source-options.js'
import { readSourceOptions } from './build-flags.js'
import { holdsPyramid } from './holds-pyramid.js'
import { readTree, treeText } from './info-tree.js'
import { onOneLine, type Terminal, untilStopped } from './terminal.js'

/** Rows of a table for people: label and value; an undefined value is left out. */
type Row = readonly [label: string, value: string | undefined]

/** `tilestage info`: what series or a pyramid hold. */
export async function info(flags: Flags, terminal: Terminal): Promise<number> {
  if (flags.positionals.length === 0) throw new UsageError('Name the series or the pyramid to describe.')
  const failures: TilestageError[] = []
  const described = await untilStopped(describe(flags, failures), terminal)
  terminal.stdout.write(flags.has('json') ? `${JSON.stringify(described.json, null, 2)}\n` : described.text)
  for (const { message } of failures) terminal.stderr.write(`tilestage: ${onOneLine(message)}\n`)
  if (failures.length === 0) return 0
  return described.text === '' ? FAILED : DONE_IN_PART
}

const FAILED = 1
const DONE_IN_PART = 2

interface Description {
  readonly json: unknown
  /** Empty where nothing could be described. */
  readonly text: string
}

/** @param failures why something that was named cannot be described while other things are; a sentence each is appended. */
async function describe(flags: Flags, failures: TilestageError[]): Promise<Description> {
  const { positionals } = flags
  if (flags.has('tree')) return await describeTrees(positionals, failures)
  const isPyramid = positionals.length === 1 && (await holdsPyramid(positionals[0]))
  return isPyramid ? describePyramid(positionals[0]) : describeSeries(positionals, readSourceOptions(flags), failures)
}

async function describeTrees(paths: readonly string[], failures: TilestageError[]): Promise<Description> {
  const read = await Promise.all(
    paths.map(async path => ({ path, root: await readTree(path).catch(keepIn(failures)) })),
  )
  const trees = read.flatMap(({ path, root }) => (root ? [{ path, root }] : []))
  return {
    json: { kind: 'trees', trees, failures: failures.map(failureFacts) },
    text: trees.map(({ path, root }) => `${onOneLine(absoluteUrl(path))}\n${treeText(root)}`).join('\n'),
  }
}

async function describeSeries(
  patterns: readonly string[],
  options: SourceOptions,
  failures: TilestageError[],
): Promise<Description> {
  const { sources, warnings } = await openSources(patterns, options, keepIn(failures))
  failures.sort((a, b) => naturalOrder(a.message, b.message))
  try {
    const total = sources.reduce((sum, { series }) => sum + series.frames.length, 0)
    const summary = sources.length > 1 ? `${sources.length} series, ${total} frames\n` : ''
    return {
      json: { kind: 'series', series: sources.map(seriesFacts), warnings, failures: failures.map(failureFacts) },
      text: [...sources.map(seriesText), summary, ...warnings.map(warning => `note: ${onOneLine(warning)}\n`)]
        .filter(Boolean)
        .join('\n'),
    }
  } finally {
    await Promise.all(sources.map(source => source.close()))
  }
}

function keepIn(failures: TilestageError[]): (error: unknown) => undefined {
  return error => {
    if (!(error instanceof TilestageError)) throw error
    failures.push(error)
  }
}

function failureFacts({ url, code, message }: TilestageError): Record<string, unknown> {
  return { url, code, message }
}

function seriesFacts({ url, format, series }: FrameSource): Record<string, unknown> {
  const { frames, items, metadata, ...facts } = series
  return {
    url: absoluteUrl(url),
    format,
    ...facts,
    frames: frames.length,
    frameNumbers: extent(frames.map(({ index }) => index)),
    stageUm: stageExtent(series.frames),
    ...(items && { items: { ...items, table: items.table?.map(({ name }) => name) } }),
    metadata,
  }
}

function seriesText({ url, format, series }: FrameSource): string {
  const { frames, frameSize, channels, cameraRoi } = series
  const numbers = extent(frames.map(({ index }) => index))
  const stage = stageExtent(frames)
  return table(`${series.name}  ${format}  ${absoluteUrl(url)}`, [
    [
      'frames',
      `${frames.length} of ${frameSize.width} × ${frameSize.height} px, ${series.sampleType}, numbers ${numbers[0]} to ${numbers[1]}`,
    ],
    ['placed from', series.dataStartsAt > 0 ? `frame ${series.dataStartsAt} on` : undefined],
    ['pixel size', pixelSizeText(series)],
    ['stage', series.isUncalibrated ? undefined : `x ${range(stage.x)} µm, y ${range(stage.y)} µm`],
    [
      'camera ROI',
      cameraRoi.x || cameraRoi.y ? `starts at ${cameraRoi.x}, ${cameraRoi.y} px of the sensor` : undefined,
    ],
    ['channels', channels.length > 1 || channels[0]?.unit ? channels.map(channelText).join(', ') : undefined],
    ['z planes', planesText(series.zPlanes, series.axes?.zPlane)],
    ['time points', planesText(series.timePoints ?? 1, series.axes?.timePoint)],
    [
      'images',
      series.items &&
        imagesText(
          series.items,
          series.items.table?.map(({ name }) => name),
        ),
    ],
    ['dark level', series.darkLevel > 0 ? `${series.darkLevel} counts` : undefined],
    ['well', series.well],
    ['state', series.complete ? 'complete' : 'still being written'],
    ...series.problems.map((problem): Row => ['problem', problem]),
  ])
}

/** The images of a stack, and what is known of them. */
function imagesText(items: Pick<SeriesItems, 'count' | 'width' | 'height'>, fields: readonly string[] = []): string {
  const images = `${items.count} of ${items.width} × ${items.height} px`
  return fields.length === 0 ? images : `${images}, with ${fields.join(', ')}`
}

async function describePyramid(path: string): Promise<Description> {
  const record = await readRecord(path)
  if (record) return describeRecord(resolve(path), record)
  const pyramid = await openPyramid(path)
  try {
    return {
      json: { kind: 'pyramid', ...pyramidFacts(pyramid) },
      text: table(`${pyramid.name}  ${pyramid.format}  ${pyramid.path}`, pyramidRows(pyramid)),
    }
  } finally {
    await pyramid.close()
  }
}

async function describeRecord(path: string, record: PyramidRecord): Promise<Description> {
  const skipped = record.complete ? await readSkippedFrames(path, record) : []
  const report = await readReport(path, record)
  const { frames, wells, series, seconds, software, created, warnings, settings } = record
  const name = basename(path)
  const version = versionOf(record)
  return {
    json: {
      kind: 'pyramid',
      name,
      path,
      format: 'tilestage',
      version,
      ...record,
      skippedFrames: skipped,
      build: report && reportFacts(report),
    },
    text: table(`${name}  tilestage pyramid  ${path}`, [
      [
        'state',
        record.complete ? 'complete' : 'not finished: being built, or stopped; the same build command goes on with it',
      ],
      ...geometryRows(record),
      ['samples', `${record.sampleType}, dark level ${number(record.pedestal)}`],
      ['channels', record.channels.map(channelText).join(', ')],
      ['z planes', planesText(record.zPlanes, record.axes?.zPlane)],
      ['time points', planesText(record.timePoints, record.axes?.timePoint)],
      ['images', record.items && imagesText(record.items, record.items.table?.columns)],
      ['wells', wells.map(well => `${well.name} (${well.frames} frames)`).join(', ')],
      ['series', series.map(({ url }) => url).join('\n')],
      ['frames', record.complete ? `${frames.used} used, ${skippedText(frames)}` : `${frames.used} planned`],
      ['blend', String(settings.blend)],
      ['clipped', record.clippedSamples > 0 ? `${record.clippedSamples} samples` : undefined],
      ...(report ? reportRows(report, record) : []),
      ['built', record.complete ? `by ${software} on ${created}, in ${seconds.toFixed(1)} s` : undefined],
      ...skipped.map(({ reason }): Row => ['skipped', reason]),
      ...warnings.map((warning): Row => ['note', warning]),
    ]),
  }
}

function skippedText({ skipped, unavailable = 0 }: PyramidRecord['frames']): string {
  const again = `${unavailable} of them could not be reached: the same build command tries them again`
  return `${skipped} skipped${unavailable > 0 ? `; ${again}` : ''}`
}

/** Pairs of frames that are named. */
const WORST_PAIRS = 5

function reportFacts(report: ReportDocument): Record<string, unknown> {
  const { coverage, throughput, overlaps } = report
  const { pairs, medianMismatch, worstMismatch } = overlaps
  return {
    coverage,
    throughput,
    overlaps: { pairs, medianMismatch, worstMismatch, worst: worstPairs(overlaps, WORST_PAIRS) },
  }
}

function reportRows(report: ReportDocument, { series, channels }: PyramidRecord): Row[] {
  const { coverage, throughput, overlaps } = report
  const { frames, sampleBytes, seconds } = throughput
  const [worst] = worstPairs(overlaps, 1)
  const place = (i: number): string => `frame ${worst.frames[i]} of ${series[worst.series[i]]?.name ?? 'unknown'}`
  return [
    [
      'coverage',
      coverage
        .map((share, i) => `${percent(share)}${coverage.length > 1 ? ` of ${channels[i]?.name}` : ''}`)
        .join(', '),
    ],
    [
      'overlaps',
      worst
        ? `${overlaps.pairs} pairs of frames; brightness differs by ${percent(overlaps.medianMismatch ?? 0)} in the median,\nby ${percent(worst.mismatch)} at most (${place(0)}, ${place(1)})`
        : undefined,
    ],
    [
      'speed',
      frames > 0
        ? `${number(frames / seconds)} frames/s, ${number(sampleBytes / seconds / 1e6)} MB/s of samples`
        : undefined,
    ],
  ]
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`
}

function pyramidFacts({
  id,
  name,
  path,
  format,
  version,
  complete,
  geometry,
  sampleType,
  channels,
  zPlanes,
  timePoints,
}: Pyramid): Record<string, unknown> {
  return {
    id,
    name,
    path,
    format,
    version,
    complete,
    ...geometry,
    sampleType,
    channels: channels.map(channel => ({ name: channel.name })),
    zPlanes,
    timePoints,
  }
}

function pyramidRows(pyramid: Pyramid): Row[] {
  return [
    ['state', pyramid.complete ? 'complete' : 'growing'],
    ...geometryRows({ ...pyramid.geometry }),
    ['samples', pyramid.sampleType],
  ]
}

function geometryRows({
  size,
  pixelSizeUm,
  originUm,
  tileSize,
  levelCount,
  isUncalibrated,
}: Pick<PyramidRecord, 'size' | 'pixelSizeUm' | 'originUm' | 'tileSize' | 'levelCount' | 'isUncalibrated'>): Row[] {
  const levels: Row = ['levels', `${levelCount}, tiles of ${tileSize} px`]
  const px = `${size.width} × ${size.height} px`
  if (isUncalibrated) return [['size', px], ['pixel size', pixelSizeText({ isUncalibrated })], levels]
  const mm = (pixels: number, um: number): string => ((pixels * um) / 1000).toPrecision(3)
  return [
    ['size', `${px}, ${mm(size.width, pixelSizeUm.x)} × ${mm(size.height, pixelSizeUm.y)} mm`],
    ['pixel size', micrometres(pixelSizeUm)],
    ['origin', `x ${originUm.x.toFixed(3)} µm, y ${originUm.y.toFixed(3)} µm`],
    levels,
  ]
}

function table(title: string, rows: readonly Row[]): string {
  const shown = rows.filter((row): row is readonly [string, string] => Boolean(row[1]))
  const width = Math.max(...shown.map(([label]) => label.length)) + 2
  const indented = (value: string): string =>
    value
      .split('\n')
      .map(onOneLine)
      .join(`\n${' '.repeat(width + 2)}`)
  const lines = shown.map(([label, value]) => `  ${label.padEnd(width)}${indented(value)}`)
  return `${onOneLine(title)}\n${lines.join('\n')}\n`
}

/** `Height [nm]` */
function channelText({ name, unit }: { readonly name: string; readonly unit?: string }): string {
  return unit ? `${name} [${unit}]` : name
}

/** `16: Bias, −5 … 5 V` */
function planesText(count: number, axis: PlaneAxis | undefined): string | undefined {
  if (count < 2) return undefined
  if (!axis) return String(count)
  const [first, last] = [axis.values[0], axis.values.at(-1)]
  const shown = (value: number | string): string => (typeof value === 'number' ? number(value) : value)
  const values = first === undefined || last === undefined ? '' : `, ${shown(first)} … ${shown(last)} ${axis.unit}`
  return `${count}: ${axis.name}${values}`.trim()
}

function pixelSizeText({ pixelSizeUm, isUncalibrated }: Partial<FrameSeries>): string {
  if (isUncalibrated) return 'unknown: lengths are in pixels, unless --pixel-size says more'
  return pixelSizeUm ? micrometres(pixelSizeUm) : 'unknown; give --pixel-size'
}

/** Below a hundredth of a µm in nm. */
function micrometres({ x, y }: { readonly x: number; readonly y: number }): string {
  const [perUm, unit] = Math.max(x, y) < 0.01 ? [1000, 'nm'] : [1, 'µm']
  return x === y ? `${number(x * perUm)} ${unit}` : `${number(x * perUm)} × ${number(y * perUm)} ${unit}`
}

/** Six digits tell all that a user can act on; `--json` has the rest. */
function number(value: number): string {
  return String(Number(value.toPrecision(6)))
}

function range([low, high]: readonly [number, number]): string {
  return `${low.toFixed(1)} … ${high.toFixed(1)}`
}

function extent(values: readonly number[]): [number, number] {
  return values.reduce(
    ([low, high], value): [number, number] => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  )
}

function stageExtent(frames: FrameSource['series']['frames']): { x: [number, number]; y: [number, number] } {
  return {
    x: extent(frames.map(frame => frame.stagePosition.xUm)),
    y: extent(frames.map(frame => frame.stagePosition.yUm)),
  }
}
