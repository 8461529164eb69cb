import { createReferenceKernels } from '../kernels/reference.js'
import { compileKernels, createKernels } from '../kernels/wasm.js'
import type { FrameSource } from '../sources/frame-source.js'
import type { BuildJob } from './build-job.js'
import { type Crew, InlineCrew, ThreadCrew } from './crew.js'
import { type MemoryPlan, planMemory } from './memory-plan.js'

/** A crew for what is to be built, kept from one round to the next while it fits. */
export class CrewKeeper {
  readonly #workers: number
  readonly #memoryBytes: number
  readonly #plain: boolean
  #crew: Crew | undefined
  #memory: MemoryPlan | undefined
  #jobKey = ''

  /** @param plain kernels in plain TypeScript on the main thread. */
  constructor(workers: number, memoryBytes: number, plain: boolean) {
    this.#workers = workers
    this.#memoryBytes = memoryBytes
    this.#plain = plain
  }

  /** Bound on reduced blocks that wait for their parents, bytes. */
  get blockBytes(): number {
    return this.#memory?.blockBytes ?? 0
  }

  /**
   * @param frames how many are planned: they take memory too. @param deepest most frames that one shard needs.
   * @throws {UsageError} too little memory.
   */
  async hire(
    job: Omit<BuildJob, 'memory'>,
    sources: readonly FrameSource[],
    frames: number,
    deepest: number,
  ): Promise<Crew> {
    const { dark, gain, illumination, ...plain } = job
    // The memory is shared out anew when a series has grown a good deal.
    const sizes = [frames, deepest].map(count => Math.ceil(Math.log2(count + 1)))
    const jobKey = JSON.stringify([plain, sizes, dark?.width, gain?.width, illumination?.width])
    if (this.#crew && jobKey === this.#jobKey) return this.#crew
    await this.close()
    const inline = this.#plain || job.series.some(({ reader }) => reader === undefined)
    this.#memory = planMemory(job, this.#memoryBytes, inline ? 1 : this.#workers, frames, deepest)
    this.#jobKey = jobKey
    this.#crew = this.#start({ ...job, memory: this.#memory.worker }, sources, inline)
    return this.#crew
  }

  async close(): Promise<void> {
    const crew = this.#crew
    this.#crew = undefined
    await crew?.close()
  }

  #start(job: BuildJob, sources: readonly FrameSource[], inline: boolean): Crew {
    if (!inline) return new ThreadCrew(this.#memory?.workers ?? 1, job, compileKernels())
    const kernels = this.#plain ? createReferenceKernels() : createKernels(compileKernels(), job.memory.arenaBytes)
    return new InlineCrew(job, kernels, sources)
  }
}
