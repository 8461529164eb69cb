import { resolve } from 'node:path'
import type { Flags } from '../config.js'
import { UnsupportedDataError, UsageError } from '../errors.js'
import { exportDeepZoom } from '../export/deep-zoom.js'
import type { ExportReport, ExportRequest } from '../export/export-request.js'
import { exportFigure } from '../export/figure.js'
import { exportImages } from '../export/images.js'
import { exportOmeZarr04 } from '../export/ome-zarr-04.js'
import { publicUrlOf, publishedNames } from '../export/published-names.js'
import { exportPyme } from '../export/pyme.js'
import { exportTiff } from '../export/pyramidal-tiff.js'
import { exportStaticSite } from '../export/static-site.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { COLOUR_MAP_NAMES } from '../render/colour-maps.js'
import { STRETCHES } from '../render/style.js'
import { type ProgressStyle, reportProgress, type Terminal, untilStopped } from './terminal.js'

type Export = (request: ExportRequest) => Promise<ExportReport>

/** `tilestage export`: returns the exit status. */
export async function exportPyramid(flags: Flags, terminal: Terminal): Promise<number> {
  const [path] = flags.positionals
  if (path === undefined || flags.positionals.length > 1) throw new UsageError('Name one pyramid to export.')
  const to = flags.text('to')
  if (to === undefined) throw new UsageError('Say where to write: --to PATH.')
  const style: ProgressStyle = flags.oneOf('progress', ['auto', 'json', 'none']) ?? 'auto'
  const write = readFormat(flags)
  const publicUrl = readPublicUrl(flags)
  const folder = resolve(to)
  const pyramid = await untilStopped(openPyramid(path), terminal)
  const reporter = reportProgress(style, terminal)
  const tell = (event: object): void => void terminal.stdout.write(`${JSON.stringify(event)}\n`)
  try {
    if (!pyramid.complete)
      throw new UnsupportedDataError(`${path} is still being built; it can be exported when it is complete.`)
    const names = publishedNames(
      pyramid.name,
      pyramid.channels.map(({ name }) => name),
      {
        object: flags.text('object'),
        kind: flags.text('kind'),
        subdir: flags.text('subdir'),
        titles: flags.text('names')?.split(','),
      },
    )
    const report = await write({
      pyramid,
      folder,
      names,
      software: terminal.software,
      signal: terminal.signal,
      onPlan: plan => {
        if (style === 'json') tell({ event: 'started', path: folder, ...plan })
        else terminal.stderr.write(`${countFiles(plan.files)}${atMost(plan.bytes)} to ${folder}\n`)
      },
      onProgress: progress => reporter.progress(progress),
      onWarning: message => reporter.warning(message),
    })
    reporter.end()
    const { written, writtenBytes, kept } = report
    const results = report.results.map(name =>
      publicUrl === undefined ? resolve(folder, name) : publicUrlOf(publicUrl, name),
    )
    if (style === 'json') {
      tell({ event: 'done', path: folder, results, written, bytes: writtenBytes, kept })
      return 0
    }
    const before = kept > 0 ? `, ${kept} were there already` : ''
    terminal.stderr.write(`${countFiles(written)} written, ${(writtenBytes / 1e6).toFixed(1)} MB${before}\n`)
    for (const result of results) terminal.stdout.write(`${result}\n`)
    return 0
  } catch (error) {
    reporter.end()
    if (error === terminal.signal.reason)
      terminal.stderr.write('tilestage: Stopped. Run the same command again to go on from here.\n')
    throw error
  } finally {
    await pyramid.close()
  }
}

const FORMATS = ['static', 'images', 'figure', 'dzi', 'tiff', 'ome-zarr-0.4', 'pyme'] as const
type Format = (typeof FORMATS)[number]

/** Flags that only some formats understand. */
const FLAGS_OF_FORMATS: Readonly<Record<string, readonly Format[]>> = {
  keep: ['static'],
  grid: ['static'],
  'image-format': ['images', 'figure', 'dzi'],
  stretch: ['static', 'images', 'figure', 'dzi'],
  lut: ['static', 'images', 'figure', 'dzi'],
  heading: ['figure'],
}

/** @throws {UsageError} no such format, or a flag that is not for it. */
function readFormat(flags: Flags): Export {
  const format = flags.oneOf('format', FORMATS)
  if (format === undefined) throw new UsageError(`Say what to write: --format ${FORMATS.join('|')}.`)
  for (const [name, formats] of Object.entries(FLAGS_OF_FORMATS))
    if (flags.has(name) && !formats.includes(format))
      throw new UsageError(`--${name} is not for --format ${format}, but for ${formats.join(', ')}.`)
  const look = { stretch: flags.oneOf('stretch', STRETCHES), lut: readColours(flags) }
  switch (format) {
    case 'static': {
      const page = flags.has('grid') ? 'grid' : 'viewer'
      if (page === 'viewer' && (look.stretch ?? look.lut) !== undefined)
        throw new UsageError('--stretch and --lut tell how maps side by side are drawn at first; add --grid.')
      if (look.lut !== undefined && !isColourMap(look.lut))
        throw flags.wrong('lut', `maps side by side have one of ${COLOUR_MAP_NAMES.join(', ')}`)
      return request => exportStaticSite(request, { keepsOthers: flags.has('keep'), page, look })
    }
    case 'images':
      return withFormat(flags, ['jpg', 'png'], file => request => exportImages(request, { ...look, format: file }))
    case 'dzi':
      return withFormat(flags, ['png', 'jpg'], file => request => exportDeepZoom(request, { ...look, format: file }))
    case 'figure':
      return withFormat(flags, ['png', 'svg'], file => request => {
        const heading = flags.text('heading') ?? request.names.stem.replaceAll('_', ' ')
        return exportFigure(request, { ...look, format: file, heading })
      })
    case 'tiff':
      return exportTiff
    case 'ome-zarr-0.4':
      return exportOmeZarr04
    case 'pyme':
      return exportPyme
  }
}

/** @param possible the first one where none is given. */
function withFormat<T extends string>(
  flags: Flags,
  possible: readonly [T, ...T[]],
  use: (format: T) => Export,
): Export {
  return use(flags.oneOf('image-format', possible) ?? possible[0])
}

/** @throws {UsageError} neither a colour map nor a colour. */
function readColours(flags: Flags): string | undefined {
  const text = flags.text('lut')
  if (text === undefined || isColourMap(text) || /^#?[0-9a-f]{6}$/i.test(text)) return text
  throw flags.wrong('lut', `it is one of ${COLOUR_MAP_NAMES.join(', ')}, or six hex digits such as ff00ff`)
}

function isColourMap(text: string): boolean {
  return (COLOUR_MAP_NAMES as readonly string[]).includes(text)
}

/** @throws {UsageError} it is no address of the web. */
function readPublicUrl(flags: Flags): string | undefined {
  const text = flags.text('public-url')
  if (text === undefined || /^https?:\/\/[^/?#\s]+[^?#\s]*$/.test(text)) return text
  throw flags.wrong('public-url', 'it begins with https:// or http:// and has no query')
}

function countFiles(count: number): string {
  return count === 1 ? '1 file' : `${count} files`
}

function atMost(bytes: number | undefined): string {
  return bytes === undefined ? '' : `, up to ${(bytes / 1e6).toFixed(1)} MB,`
}
