import type { FastifyBaseLogger } from 'fastify'
import { ERROR_CLASSES, type ErrorCode, SourceUnavailableError, UsageError } from '../../errors.js'
import { describeError, type ErrorBody, type HiddenPath, hidePaths, STATUS_OF } from '../http/error-replies.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { BuildOrder } from './build-order.js'
import { type BuildEnd, type BuildLine, BuildProcess } from './build-process.js'

/** Warnings that are kept of a build; the pyramid's report holds all. */
const MAX_WARNINGS = 20

/** Pages are told no more often than this. */
const TELL_EVERY_MS = 250

/** Exit statuses of the command line. */
const DONE_WITH_GAPS = 2
const STOPPED = [130, 143]

export type BuildState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled'

/** A build as clients are told of it. */
export interface BuildDescription {
  readonly n: number
  readonly state: BuildState
  /** The folder, as the client named it. */
  readonly output: string
  /** Of the pyramid, as soon as there is one. */
  readonly id: string | null
  readonly framesDone: number | null
  readonly framesTotal: number | null
  readonly secondsLeft: number | null
  /** Of the process; null before its end and where a signal ended it. */
  readonly exitCode: number | null
  /** What an error reply would say; null where nothing failed. */
  readonly code: ErrorBody['code'] | null
  readonly status: number | null
  /** Why it failed, or what is to be known of a pyramid that has gaps. */
  readonly message: string | null
  readonly warnings: readonly string[]
}

/** What a build works with. */
export interface BuildTools {
  readonly registry: PyramidRegistry
  readonly log: FastifyBaseLogger
  /** Called after every change that is worth telling. */
  readonly onChange: (event: ServerBuildEvent) => void
}

/** What pages are told of a build. */
export interface ServerBuildEvent extends Omit<BuildDescription, 'warnings'> {
  /** Whether the pyramid is. */
  readonly complete: boolean
}

/** One build of this server, from the queue to its end. */
export class ServerBuild {
  /** When its series are open and its first plan is made, or it has ended. */
  readonly started: Promise<void>
  readonly ended: Promise<void>
  #state: BuildState = 'queued'
  #order: BuildOrder
  #process: BuildProcess | undefined
  #isCancelled = false
  #isShown = false
  #isComplete = false
  #id: string | null = null
  #progress:
    | { readonly framesDone: number; readonly framesTotal: number; readonly secondsLeft: number | null }
    | undefined
  #exitCode: number | null = null
  #failure: Error | undefined
  #message: string | null = null
  #skipped = 0
  readonly #warnings: string[] = []
  #toldAtMs = Number.NEGATIVE_INFINITY
  #tellStarted = (): void => undefined
  #tellEnded = (): void => undefined
  readonly #tools: BuildTools

  /** @param n its number. */
  constructor(
    readonly n: number,
    order: BuildOrder,
    tools: BuildTools,
  ) {
    this.#order = order
    this.#tools = tools
    this.started = new Promise(resolve => {
      this.#tellStarted = resolve
    })
    this.ended = new Promise(resolve => {
      this.#tellEnded = resolve
    })
  }

  get state(): BuildState {
    return this.#state
  }

  get isOver(): boolean {
    return this.#state !== 'queued' && this.#state !== 'running'
  }

  /** Real path of the folder. */
  get output(): string {
    return this.#order.output
  }

  /** Why it failed. */
  get failure(): Error | undefined {
    return this.#failure
  }

  get hidden(): readonly HiddenPath[] {
    return this.#order.hidden
  }

  get description(): BuildDescription {
    const failure = this.#failure && describeError(this.#failure, this.hidden)
    return {
      n: this.n,
      state: this.#state,
      output: this.#order.outputName,
      id: this.#id,
      framesDone: this.#progress?.framesDone ?? null,
      framesTotal: this.#progress?.framesTotal ?? null,
      secondsLeft: this.#progress?.secondsLeft ?? null,
      exitCode: this.#exitCode,
      code: failure?.code ?? null,
      status: failure ? STATUS_OF[failure.code] : null,
      message: failure?.message ?? this.#message,
      warnings: this.#warnings,
    }
  }

  /**
   * Build, to the end, whatever that is.
   *
   * @param judge its order anew, for a build that had to wait.
   */
  async run(judge?: () => Promise<BuildOrder>): Promise<void> {
    if (this.isOver) return
    this.#become('running')
    try {
      if (judge) this.#order = await judge()
      if (!this.#isCancelled) await this.#build()
      if (this.#isCancelled && this.#state === 'running') this.#become('cancelled')
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  /** Take it out of the queue, or let it stop: what is built by then stays, and the same build goes on from there. */
  cancel(): void {
    if (this.isOver || this.#isCancelled) return
    this.#isCancelled = true
    if (this.#state === 'queued') this.#become('cancelled')
    else this.#process?.stop()
  }

  async #build(): Promise<void> {
    const process = new BuildProcess(this.#order.args)
    this.#process = process
    for await (const line of process.lines()) await this.#take(line)
    this.#settle(process.end)
  }

  async #take(line: BuildLine): Promise<void> {
    switch (line.event) {
      case 'started':
        this.#isComplete = false
        await this.#show()
        this.#tellStarted()
        return this.#tell()
      case 'progress': {
        const { framesDone, framesTotal, secondsLeft } = line
        this.#progress = { framesDone, framesTotal, secondsLeft }
        if (this.#id !== null) {
          const progress = { framesDone, framesTotal, secondsLeft: secondsLeft ?? undefined }
          this.#tools.registry.setProgress(this.#id, progress)
        }
        if (performance.now() - this.#toldAtMs >= TELL_EVERY_MS) this.#tell()
        return
      }
      case 'warning':
        if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(hidePaths(line.message, this.hidden))
        return
      case 'done':
        // Series that are followed may grow again.
        this.#isComplete = true
        this.#skipped = line.frames.skipped
        await this.#show()
        return this.#tell()
      case 'failed':
        this.#failure = Object.hasOwn(ERROR_CLASSES, line.code)
          ? new ERROR_CLASSES[line.code as ErrorCode](line.message)
          : new UsageError(line.message)
    }
  }

  /** Have the pyramid served as it is now; once, where that is wanted, to everybody. */
  async #show(): Promise<void> {
    const { registry, log } = this.#tools
    try {
      this.#id = (await registry.add(this.output)).id
      if (this.#order.show && !this.#isShown) registry.showOpen(this.#id)
      this.#isShown = true
    } catch (error) {
      // It is tried again when the build is done.
      log.warn({ path: this.output, err: error }, 'pyramid of a build not opened')
    }
  }

  #settle({ exitCode, signal }: BuildEnd): void {
    this.#exitCode = exitCode
    if (exitCode === 0 || exitCode === DONE_WITH_GAPS) {
      const frames = this.#skipped === 1 ? '1 frame was' : `${this.#skipped} frames were`
      this.#message = this.#skipped > 0 ? `${frames} skipped; tilestage info names them.` : null
      this.#become('done')
    } else if (this.#isCancelled || (exitCode !== null && STOPPED.includes(exitCode))) {
      this.#failure = undefined
      this.#message = 'The build was stopped; asked for again, it goes on from there.'
      this.#become('cancelled')
    } else {
      this.#fail(this.#failure ?? this.#explainDeath(exitCode, signal))
    }
  }

  /** Why a process ended that said nothing itself. */
  #explainDeath(exitCode: number | null, signal: string | null): Error {
    this.#tools.log.error({ n: this.n, exitCode, signal, errors: this.#process?.errors }, 'build died')
    if (signal === null) return new Error('the build ended without a word')
    return new SourceUnavailableError(
      `The process of the build was ended (${signal}), perhaps for want of memory; asked for again, it goes on from there.`,
    )
  }

  #fail(failure: Error): void {
    this.#failure = failure
    this.#become('failed')
  }

  #become(state: BuildState): void {
    this.#state = state
    if (this.isOver) {
      this.#tellStarted()
      this.#tellEnded()
    }
    this.#tools.log.info({ n: this.n, state, output: this.output, err: this.#failure }, 'build')
    this.#tell()
  }

  #tell(): void {
    this.#toldAtMs = performance.now()
    const { warnings: _, ...told } = this.description
    this.#tools.onChange({ ...told, complete: this.#isComplete })
  }
}
