import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Flags } from '../config.js'
import { FolderInUseError } from '../engine/build-lock.js'
import { buildPymePyramid } from '../engine/build-pyme-pyramid.js'
import { type BuildReport, type BuildRequest, buildPyramid, type GrowingSeries } from '../engine/build-pyramid.js'
import { LEAST_MEMORY_BYTES } from '../engine/memory-plan.js'
import { SourceUnavailableError, UsageError } from '../errors.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import type { FrameSource } from '../sources/frame-source.js'
import { followNamedSeries, openNamedSeries, readBuildSettings, readFormat } from './build-flags.js'
import { type ProgressReporter, type ProgressStyle, reportProgress, type Terminal, untilStopped } from './terminal.js'

/** Skipped frames that are named one by one; the report holds all. */
const NAMED_SKIPS = 10

const MAX_WORKERS = 256

/** How often series of which nothing can be placed yet are looked at, and an output that another build writes. */
const WAIT_MS = 250

/** `tilestage build`: returns the exit status. */
export async function build(flags: Flags, terminal: Terminal): Promise<number> {
  const output = flags.text('output')
  if (output === undefined) throw new UsageError('Say where the pyramid is to be written: --output DIR.')
  const follow = flags.has('watch')
  const isPyme = readFormat(flags) === 'pyme'
  if (isPyme && follow) {
    throw new UsageError(
      '--watch and --format pyme exclude each other: a PYME pyramid cannot say that it grows; build it when the acquisition has ended.',
    )
  }
  const report = await buildFrom(flags, terminal, {
    follow,
    place: () => output,
    build: isPyme ? buildPymePyramid : buildPyramid,
  })
  return report.record.frames.skipped > 0 ? 2 : 0
}

export interface BuildWishes extends Pick<BuildRequest, 'onStarted' | 'onComplete'> {
  /** Whether growing series are followed. */
  readonly follow: boolean
  /** Writes the format that is asked for. */
  readonly build: typeof buildPyramid
  /** Take the pyramid's place where it cannot be gone on with: it is one that we made for ourselves. */
  readonly replaces?: boolean
  /** Names the output folder once series and settings are known. */
  place(sources: readonly FrameSource[], settings: BuildSettings): string
}

/** Open, build and report, for `build` and `view`. */
export async function buildFrom(
  flags: Flags,
  terminal: Terminal,
  wishes: BuildWishes,
): Promise<BuildReport & { readonly path: string }> {
  const style: ProgressStyle = flags.oneOf('progress', ['auto', 'json', 'none']) ?? 'auto'
  const { workers, memoryBytes } = readLimits(flags)
  const reporter = reportProgress(style, terminal)
  const opened = await untilStopped(openSeries(flags, wishes.follow, reporter, terminal), terminal)
  const { growing } = opened
  let isComplete = false
  try {
    const { sources, settings } = growing ?? opened
    if (style === 'json') {
      const frames = sources.reduce((sum, { series }) => sum + series.frames.length, 0)
      terminal.stdout.write(`${JSON.stringify({ event: 'opened', series: sources.length, frames })}\n`)
    }
    for (const { url, series } of sources) for (const problem of series.problems) reporter.warning(`${url}: ${problem}`)
    const path = resolve(expandHome(wishes.place(sources, settings)))
    const request: BuildRequest = {
      ...{ sources, settings, growing, workers, memoryBytes },
      output: path,
      overwrite: flags.has('overwrite') || wishes.replaces === true,
      strict: flags.has('strict'),
      software: terminal.software,
      onProgress: progress => reporter.progress(progress),
      onWarning: message => reporter.warning(message),
      onStarted: async feed => {
        isComplete = false
        // Null while another pyramid keeps the output's name: what is made shows when it takes its place.
        if (style === 'json')
          terminal.stdout.write(`${JSON.stringify({ event: 'started', path: feed ? path : null })}\n`)
        await wishes.onStarted?.(feed)
      },
      onComplete: async done => {
        isComplete = true
        reporter.end()
        if (done.built) for (const warning of done.record.warnings) reporter.warning(warning)
        // A PYME pyramid does not keep them for `tilestage info`.
        const mostNamed = wishes.build === buildPyramid ? NAMED_SKIPS : done.skipped.length
        tellOutcome(done, path, mostNamed, style, reporter, terminal)
        await wishes.onComplete?.(done)
      },
      signal: terminal.signal,
    }
    const report = await (flags.has('wait') ? afterOthers(wishes.build, request) : wishes.build(request))
    return { ...report, path }
  } catch (error) {
    reporter.end()
    // Who only waited for more leaves nothing half done.
    if (error === terminal.signal.reason && !isComplete) {
      terminal.stderr.write('tilestage: Stopped. Run the same command again to go on from here.\n')
    }
    throw error
  } finally {
    reporter.end()
    await opened.close()
  }
}

/** Build as soon as no other build writes to the output. */
async function afterOthers(build: typeof buildPyramid, request: BuildRequest): Promise<BuildReport> {
  for (let tries = 0; ; tries++) {
    try {
      return await build(request)
    } catch (error) {
      if (!(error instanceof FolderInUseError)) throw error
      if (tries === 0) request.onWarning?.(error.message)
      await setTimeout(WAIT_MS, undefined, { signal: request.signal })
    }
  }
}

interface OpenedBuild {
  readonly sources: readonly FrameSource[]
  readonly settings: BuildSettings
  readonly growing: GrowingSeries | undefined
  close(): Promise<void>
}

async function openSeries(
  flags: Flags,
  follow: boolean,
  reporter: ProgressReporter,
  terminal: Terminal,
): Promise<OpenedBuild> {
  if (follow) return followSeries(flags, reporter, terminal)
  const { sources, join, warnings } = await openNamedSeries(flags)
  const close = async (): Promise<void> => void (await Promise.all(sources.map(source => source.close())))
  try {
    const settings = await readBuildSettings(flags, join)
    for (const warning of warnings) reporter.warning(warning)
    return { sources, settings, growing: undefined, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Open series that grow, and wait until one of them can be placed. */
async function followSeries(flags: Flags, reporter: ProgressReporter, terminal: Terminal): Promise<OpenedBuild> {
  const { watch, join } = await followNamedSeries(flags)
  try {
    const settings = await readBuildSettings(flags, join())
    for (const warning of watch.warnings) reporter.warning(warning)
    const told = new Set<string>()
    const tell = (): void => {
      for (const reason of watch.waiting) if (!told.has(reason)) reporter.warning(`waiting: ${reason}`)
      for (const reason of watch.waiting) told.add(reason)
    }
    if (!flags.has('watch') && watch.waiting.length > 0) await refuseHopeless(flags)
    tell()
    while (watch.sources.length === 0) {
      terminal.signal.throwIfAborted()
      await setTimeout(WAIT_MS)
      await watch.poll()
      tell()
    }
    const growing: GrowingSeries = {
      get sources() {
        return watch.sources
      },
      get settings() {
        return { ...settings, join: join() }
      },
      get isComplete() {
        return watch.isComplete
      },
      get mayGetMore() {
        return watch.mayGetMore
      },
      async poll() {
        const changed = await watch.poll()
        if (changed) tell()
        return changed
      },
    }
    return { sources: watch.sources, settings, growing, close: () => watch.close() }
  } catch (error) {
    await watch.close()
    throw error
  }
}

/**
 * Without `--watch` a name that leads nowhere is a mistake. Series that only wait for their microscope are not.
 *
 * @throws {TilestageError} what waiting does not mend.
 */
async function refuseHopeless(flags: Flags): Promise<void> {
  try {
    const { sources } = await openNamedSeries(flags)
    await Promise.all(sources.map(source => source.close()))
  } catch (error) {
    if (!(error instanceof SourceUnavailableError)) throw error
  }
}

function readLimits(flags: Flags): { workers: number | undefined; memoryBytes: number | undefined } {
  const memoryBytes = flags.bytes('memory')
  if (memoryBytes !== undefined && memoryBytes < LEAST_MEMORY_BYTES)
    throw flags.wrong('memory', `a build takes ${LEAST_MEMORY_BYTES / 2 ** 20}MiB or more`)
  return { workers: flags.integer('workers', 1, MAX_WORKERS), memoryBytes }
}

/** Shells leave the `~` of `--output=~/plate` as it is; a folder of that name is never meant. */
function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
}

function tellOutcome(
  report: BuildReport,
  path: string,
  mostNamed: number,
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
  for (const { reason } of skipped.slice(0, mostNamed)) reporter.warning(`skipped: ${reason}`)
  if (skipped.length > mostNamed)
    reporter.warning(`skipped ${skipped.length - mostNamed} more frames; tilestage info ${path} names them.`)
  const { unavailable = 0 } = record.frames
  if (unavailable > 0)
    reporter.warning(`${unavailable} of them could not be reached; the same command tries them again.`)
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
