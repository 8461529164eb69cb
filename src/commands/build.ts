import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Flags } from '../config.js'
import { UsageError } from '../errors.js'
import { type BuildReport, buildPyramid } from '../pyramid/build-pyramid.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import type { FrameSource } from '../sources/frame-source.js'
import { openNamedSeries, readBuildSettings } from './build-flags.js'
import { type ProgressReporter, type ProgressStyle, reportProgress, type Terminal, untilStopped } from './terminal.js'

/** Skipped frames that are named one by one; the report holds all. */
const NAMED_SKIPS = 10

/** `tilestage build`: returns the exit status. */
export async function build(flags: Flags, terminal: Terminal): Promise<number> {
  const output = flags.text('output')
  if (output === undefined) throw new UsageError('Say where the pyramid is to be written: --output DIR.')
  const report = await buildFrom(flags, terminal, () => output)
  return report.record.frames.skipped > 0 ? 2 : 0
}

/**
 * Open, build and report, for `build` and `view`.
 *
 * @param place names the output folder once series and settings are known.
 */
export async function buildFrom(
  flags: Flags,
  terminal: Terminal,
  place: (sources: readonly FrameSource[], settings: BuildSettings) => string,
): Promise<BuildReport & { readonly path: string }> {
  const style: ProgressStyle = flags.oneOf('progress', ['auto', 'json', 'none']) ?? 'auto'
  const reporter = reportProgress(style, terminal)
  const opened = await untilStopped(openNamedSeries(flags), terminal)
  const { sources, warnings } = opened
  try {
    const settings = await readBuildSettings(flags, opened.join)
    for (const warning of warnings) reporter.warning(warning)
    for (const { url, series } of sources) for (const problem of series.problems) reporter.warning(`${url}: ${problem}`)
    const path = resolve(expandHome(place(sources, settings)))
    const report = await buildPyramid({
      sources,
      output: path,
      settings,
      overwrite: flags.has('overwrite'),
      strict: flags.has('strict'),
      software: terminal.software,
      onProgress: progress => reporter.progress(progress),
      signal: terminal.signal,
    })
    reporter.end()
    if (report.built) for (const warning of report.record.warnings) reporter.warning(warning)
    tellOutcome(report, path, style, reporter, terminal)
    return { ...report, path }
  } catch (error) {
    reporter.end()
    if (error === terminal.signal.reason) {
      terminal.stderr.write(
        'tilestage: Stopped before the pyramid was complete; run the same command again to build it from the start.\n',
      )
    }
    throw error
  } finally {
    reporter.end()
    await Promise.all(sources.map(source => source.close()))
  }
}

/** Shells leave the `~` of `--output=~/plate` as it is; a folder of that name is never meant. */
function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
}

function tellOutcome(
  report: BuildReport,
  path: string,
  style: ProgressStyle,
  reporter: ProgressReporter,
  terminal: Terminal,
): void {
  const { record, built, skipped, files, bytes } = report
  if (style === 'json') {
    for (const frame of skipped) terminal.stdout.write(`${JSON.stringify({ event: 'skipped', ...frame })}\n`)
    const { id, frames, seconds, clippedSamples } = record
    terminal.stdout.write(
      `${JSON.stringify({ event: 'done', path, id, built, frames, seconds, files, bytes, clippedSamples })}\n`,
    )
    return
  }
  for (const { reason } of skipped.slice(0, NAMED_SKIPS)) reporter.warning(`skipped: ${reason}`)
  if (skipped.length > NAMED_SKIPS)
    reporter.warning(`skipped ${skipped.length - NAMED_SKIPS} more frames; tilestage info ${path} names them.`)
  if (record.clippedSamples > 0)
    reporter.warning(`${record.clippedSamples} samples did not fit ${record.sampleType} and were clipped.`)
  const { used, skipped: left } = record.frames
  const gaps = left > 0 ? `, ${left} skipped` : ''
  const { width, height } = record.size
  terminal.stderr.write(
    built
      ? `${used} frames${gaps}, ${width} × ${height} px, ${record.levelCount} levels, ${(bytes / 1e6).toFixed(1)} MB in ${files} files, ${record.seconds.toFixed(1)} s\n`
      : `Already built: ${used} frames${gaps}, ${width} × ${height} px.\n`,
  )
  terminal.stdout.write(`${path}\n`)
}
