import type { BuildProgress } from '../engine/build-pyramid.js'
import type { ExportProgress } from '../export/export-request.js'

/** Where a command reads its surroundings and writes its words; `cli.ts` makes it from the process. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  /** Results: what another program may read. */
  readonly stdout: NodeJS.WritableStream
  /** Everything else. */
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** Name and version of the program. */
  readonly software: string
}

export type ProgressStyle = 'auto' | 'json' | 'none'

/** A file's name may hold line breaks and what a terminal takes for commands. */
export function onOneLine(message: string): string {
  return message.replace(/\p{Cc}/gu, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** The result of `work`, or the signal's reason as soon as it is aborted, for work that does not listen to it. */
export function untilStopped<T>(work: Promise<T>, { signal }: Terminal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

type Progress = BuildProgress | ExportProgress

/** What a build or an export tells while it runs, in the style of `--progress`. */
export interface ProgressReporter {
  progress(progress: Progress): void
  warning(message: string): void
  /** Call once, before anything else is printed. */
  end(): void
}

const MAX_BAR_CELLS = 24
const LEAST_INTERVAL_MS = 100

export function reportProgress(style: ProgressStyle, terminal: Terminal): ProgressReporter {
  if (style === 'json') return jsonProgress(terminal)
  const warning = (message: string): void => void terminal.stderr.write(`tilestage: ${onOneLine(message)}\n`)
  if (style === 'none' || !terminal.stderr.isTTY) return { progress: () => undefined, warning, end: () => undefined }
  return barProgress(terminal, warning)
}

function jsonProgress({ stdout }: Terminal): ProgressReporter {
  let last = Number.NEGATIVE_INFINITY
  return {
    progress(progress) {
      if (!isDone(progress) && performance.now() - last < LEAST_INTERVAL_MS) return
      last = performance.now()
      const seconds = Math.round(progress.seconds * 1000) / 1000
      stdout.write(`${JSON.stringify({ event: 'progress', ...progress, seconds, ...ratesByName(progress) })}\n`)
    },
    warning: message => void stdout.write(`${JSON.stringify({ event: 'warning', message })}\n`),
    end: () => undefined,
  }
}

function barProgress({ stderr }: Terminal, warning: (message: string) => void): ProgressReporter {
  let last = Number.NEGATIVE_INFINITY
  let shown = false
  const erase = (): void => {
    if (shown) stderr.write('\r\x1b[2K')
    shown = false
  }
  return {
    progress(progress) {
      if (performance.now() - last < LEAST_INTERVAL_MS && !isDone(progress)) return
      last = performance.now()
      stderr.write(`\r\x1b[2K${barLine(progress, (stderr.columns || 80) - 1)}`)
      shown = true
    },
    warning(message) {
      erase()
      warning(message)
    },
    end: erase,
  }
}

/**
 * `[######..........]  46 of 75 frames   310 frames/s   38.9 MB/s   4 s left`
 *
 * @param columns the line is never longer; the bar gets what the words leave.
 */
function barLine(progress: Progress, columns: number): string {
  const { unit, done, total } = amountOf(progress)
  const { perSecond, megabytesPerSecond, secondsLeft } = rates(progress)
  const words = [
    `${done} of ${total} ${unit}`,
    `${Math.round(perSecond)} ${unit}/s`,
    `${megabytesPerSecond.toFixed(1)} MB/s`,
    ...(secondsLeft === null ? [] : [`${formatSeconds(secondsLeft)} left`]),
  ].join('   ')
  const cells = Math.min(MAX_BAR_CELLS, columns - words.length - '[]  '.length)
  if (cells < 1) return words.slice(0, columns)
  const filled = Math.round((done / total) * cells)
  return `[${'#'.repeat(filled)}${'.'.repeat(cells - filled)}]  ${words}`
}

interface Amount {
  readonly unit: 'frames' | 'files'
  readonly done: number
  readonly before: number
  readonly total: number
}

function amountOf(progress: Progress): Amount {
  if ('filesDone' in progress) {
    const { filesDone, filesBefore, filesTotal } = progress
    return { unit: 'files', done: filesDone, before: filesBefore, total: filesTotal }
  }
  const { framesDone, framesBefore, framesTotal } = progress
  return { unit: 'frames', done: framesDone, before: framesBefore, total: framesTotal }
}

function isDone(progress: Progress): boolean {
  const { done, total } = amountOf(progress)
  return done === total
}

function ratesByName(progress: Progress): Record<string, number | null> {
  const { perSecond, ...others } = rates(progress)
  return { [`${amountOf(progress).unit}PerSecond`]: perSecond, ...others }
}

function rates(progress: Progress): {
  perSecond: number
  megabytesPerSecond: number
  secondsLeft: number | null
} {
  const { done, before, total } = amountOf(progress)
  const { bytesDone, seconds } = progress
  const perSecond = seconds > 0 ? (done - before) / seconds : 0
  return {
    perSecond: Math.round(perSecond * 10) / 10,
    megabytesPerSecond: seconds > 0 ? Math.round(bytesDone / seconds / 1e5) / 10 : 0,
    secondsLeft: perSecond > 0 ? Math.round((total - done) / perSecond) : null,
  }
}

function formatSeconds(seconds: number): string {
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}
