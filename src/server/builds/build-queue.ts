import { isInside } from '../../is-inside.js'
import type { Parameters } from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { type BuildPlaces, readBuildOrder } from './build-order.js'
import { type BuildTools, ServerBuild } from './server-build.js'

/** Builds that may wait for their turn. */
const MAX_WAITING = 16

/** Builds that are over and still told of. */
const MAX_REMEMBERED = 100

/** The builds of this server: one runs at a time, which uses all processors, and the others wait. */
export class BuildQueue {
  readonly #places: BuildPlaces
  readonly #tools: BuildTools
  readonly #builds = new Map<number, ServerBuild>()
  #count = 0
  /** The last one in the queue, and all before it. */
  #last: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(places: BuildPlaces, tools: BuildTools) {
    this.#places = places
    this.#tools = tools
  }

  list(): readonly ServerBuild[] {
    return [...this.#builds.values()]
  }

  find(n: number): ServerBuild | undefined {
    return this.#builds.get(n)
  }

  /**
   * Judge what a client asks for, and build it as soon as all before it are over.
   *
   * @throws {RequestRefusal} too many wait, or another build writes to the same place. @throws as `readBuildOrder`.
   */
  async add(fields: Parameters): Promise<ServerBuild> {
    const judge = (): ReturnType<typeof readBuildOrder> => readBuildOrder(fields, this.#places)
    const order = await judge()
    const pending = this.list().filter(({ isOver }) => !isOver)
    const rival = pending.find(({ output }) => isInside(output, order.output) || isInside(order.output, output))
    if (rival) {
      throw new RequestRefusal(
        'OUTPUT_IN_USE',
        `Build ${rival.n}, which is ${rival.state}, writes to ${order.outputName} already; wait for it, or cancel it.`,
      )
    }
    if (pending.length > MAX_WAITING || this.#isClosed) {
      throw new RequestRefusal('TOO_MANY_BUILDS', `${MAX_WAITING} builds wait already; ask again when there are fewer.`)
    }
    const build = new ServerBuild(++this.#count, order, this.#tools)
    this.#builds.set(build.n, build)
    this.#forgetOldest()
    if (pending.length === 0) this.#last = build.run()
    else this.#last = this.#last.then(() => build.run(judge))
    return build
  }

  /** Tell no more of a build that is over. */
  forget({ n }: ServerBuild): void {
    this.#builds.delete(n)
  }

  /** Cancel all, and wait for the one that runs. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const build of this.list()) build.cancel()
    await this.#last
  }

  #forgetOldest(): void {
    const over = this.list().filter(({ isOver }) => isOver)
    for (const build of over.slice(0, Math.max(0, over.length - MAX_REMEMBERED))) this.forget(build)
  }
}
