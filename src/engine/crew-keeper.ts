import { isDeepStrictEqual } from 'node:util'
import { createReferenceKernels } from '../kernels/reference.js'
import { compileKernels, createKernels } from '../kernels/wasm.js'
import { SAMPLE_TYPES } from '../plane.js'
import type { FrameSource } from '../sources/frame-source.js'
import { BlockPool } from './block-pool.js'
import type { BuildJob } from './build-job.js'
import { type Crew, InlineCrew, ThreadCrew } from './crew.js'
import { type MemoryPlan, planMemory } from './memory-plan.js'

/** A crew, and the memory that it hands shards up in. */
interface HiredCrew {
  readonly crew: Crew
  readonly blocks: BlockPool
}

/** A crew for what is to be built, kept from one round to the next while it fits. */
export class CrewKeeper {
  readonly #workers: number
  readonly #memoryBytes: number
  readonly #plain: boolean
  #hired: HiredCrew | undefined
  #memory: MemoryPlan | undefined
  #jobKey = ''
  #sizes = ''

  /** @param plain kernels in plain TypeScript on the main thread. */
  constructor(workers: number, memoryBytes: number, plain: boolean) {
    this.#workers = workers
    this.#memoryBytes = memoryBytes
    this.#plain = plain
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
  ): Promise<HiredCrew> {
    const { dark, gain, illumination, ...plain } = job
    const jobKey = JSON.stringify([plain, dark?.width, gain?.width, illumination?.width])
    const kept = jobKey === this.#jobKey ? this.#hired : undefined
    // The memory is shared out anew when a series has grown a good deal.
    const sizes = [frames, deepest].map(count => Math.ceil(Math.log2(count + 1))).join()
    if (kept && sizes === this.#sizes) return kept
    const inline = this.#plain || job.series.some(({ reader }) => reader === undefined)
    const memory = planMemory(job, this.#memoryBytes, inline ? 1 : this.#workers, frames, deepest)
    this.#sizes = sizes
    // Others would have to start, and to read again what these have in memory.
    if (kept && isDeepStrictEqual(memory, this.#memory)) return kept
    await this.close()
    this.#memory = memory
    this.#jobKey = jobKey
    const crew = this.#start({ ...job, memory: memory.worker }, sources, inline)
    this.#hired = { crew, blocks: new BlockPool(SAMPLE_TYPES[job.sampleType].bytes, memory.blockBytes) }
    return this.#hired
  }

  async close(): Promise<void> {
    const hired = this.#hired
    this.#hired = undefined
    await hired?.crew.close()
  }

  #start(job: BuildJob, sources: readonly FrameSource[], inline: boolean): Crew {
    if (!inline) return new ThreadCrew(this.#memory?.workers ?? 1, job, compileKernels())
    const kernels = this.#plain ? createReferenceKernels() : createKernels(compileKernels(), job.memory.arenaBytes)
    return new InlineCrew(job, kernels, sources)
  }
}
