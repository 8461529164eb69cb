import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { builtModule } from '../../built-module.js'

/** A build that is told to stop finishes the shards under way. */
const GRACE_MS = 10_000

/** What is kept of the standard error: the last of it says why a process died. */
const KEPT_ERRORS = 4096

/** What `tilestage build --progress json` tells, as far as it matters here. */
export type BuildLine =
  | { readonly event: 'started' }
  | {
      readonly event: 'progress'
      readonly framesDone: number
      readonly framesTotal: number
      readonly secondsLeft: number | null
    }
  | { readonly event: 'warning' | 'skipped'; readonly message: string }
  | { readonly event: 'done'; readonly frames: { readonly used: number; readonly skipped: number } }
  | { readonly event: 'failed'; readonly code: string; readonly message: string }

/** How a build's process ended: one of the two is null. */
export interface BuildEnd {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * The command line as a process of its own: it has its memory to itself, and tiles are served as before while it works.
 */
export class BuildProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #closed: Promise<unknown>
  #errors = ''
  #grace: NodeJS.Timeout | undefined

  /** @param args of `tilestage`, each passed on as it is: no shell reads them. */
  constructor(args: readonly string[]) {
    const { TILESTAGE_TOKEN: _, ...env } = process.env
    // Over the channel nothing is said: its end tells the build that this server is gone, however it went.
    this.#child = spawn(process.execPath, [fileURLToPath(builtModule('cli.js')), ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    }) as ChildProcessByStdio<null, Readable, Readable>
    this.#closed = once(this.#child, 'close')
    // Whoever reads the lines is told.
    this.#closed.catch(() => undefined)
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-KEPT_ERRORS)
    })
    this.#child.once('spawn', () => yieldToServer(this.#child.pid))
  }

  /** The end of what it wrote to its standard error. */
  get errors(): string {
    return this.#errors
  }

  /** What it tells, in order, until it has ended. @throws {Error} it cannot be started. */
  async *lines(): AsyncGenerator<BuildLine> {
    const lines = createInterface({ input: this.#child.stdout, crlfDelay: Number.POSITIVE_INFINITY })
    for await (const line of lines) {
      const told = parseLine(line)
      if (told) yield told
    }
    await this.#closed
  }

  /** After the last line. */
  get end(): BuildEnd {
    return { exitCode: this.#child.exitCode, signal: this.#child.signalCode }
  }

  /**
   * Let it stop cleanly, and end it where it does not. SIGTERM, since a terminal sends its SIGINT to the server and to
   * this process alike, and of a second one it would die at once.
   */
  stop(): void {
    if (this.#grace) return
    this.#child.kill('SIGTERM')
    this.#grace = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_MS)
    this.#child.once('close', () => clearTimeout(this.#grace))
  }
}

/** Undefined for what is no event: a process that is killed may leave half a line. */
function parseLine(line: string): BuildLine | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Tiles go before builds where both want the processor. */
function yieldToServer(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // It has ended already, or the system does not allow it: then both share.
  }
}
