import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { builtModule } from '../built-module.js'
import { CorruptDataError, ERROR_CLASSES, type ErrorCode } from '../errors.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { ReadMemory } from '../pyramid/read-memory.js'
import { WrongTokens } from '../server/access/wrong-tokens.js'
import { buildApp } from '../server/app.js'
import { PyramidRegistry } from '../server/pyramids/registry.js'

/** The built viewer. */
export const PAGE_FOLDER = fileURLToPath(builtModule('public'))

/** What the server would answer, without listening: exports of a page hold its answers as files. */
export class LocalAnswers {
  readonly #app: FastifyInstance

  private constructor(app: FastifyInstance) {
    this.#app = app
  }

  /** @param path of the pyramid, which is the current one. @param software name and version of the program. */
  static async open(path: string, software: string): Promise<LocalAnswers> {
    const logger = pino({ level: 'silent' })
    const memory = new ReadMemory()
    const registry = new PyramidRegistry(logger, folder => openPyramid(folder, memory))
    try {
      await registry.addNamed(path)
      const app = await buildApp({
        registry,
        logger,
        memory,
        policy: {
          loopback: true,
          token: undefined,
          isPrivate: false,
          corsOrigins: [],
          allowedHosts: [],
          machineName: hostname(),
          wrongTokens: new WrongTokens(),
        },
        roots: [],
        assetsFolder: PAGE_FOLDER,
        version: software.split(' ').at(-1) ?? '',
      })
      return new LocalAnswers(app)
    } catch (error) {
      await registry.close()
      throw error
    }
  }

  /**
   * @param url relative, as the page asks.
   * @throws {TilestageError} as the server says. @throws {CorruptDataError} the pyramid was overwritten meanwhile.
   */
  async get(url: string): Promise<Buffer> {
    const reply = await this.#app.inject({ url: `/${url}`, headers: { host: 'localhost' } })
    if (reply.statusCode === 200) return reply.rawPayload
    const { code, message } = reply.json<{ code: string; message: string }>()
    const ErrorClass = ERROR_CLASSES[code as ErrorCode] ?? CorruptDataError
    throw new ErrorClass(message)
  }

  close(): Promise<void> {
    return this.#app.close()
  }
}
