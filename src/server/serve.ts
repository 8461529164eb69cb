import { randomBytes } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { builtModule } from '../built-module.js'
import { fromSystemError, SourceUnavailableError, systemCode, UsageError } from '../errors.js'
import type { BuildFeed } from '../pyramid/build-feed.js'
import { openPyramid } from '../pyramid/open-pyramid.js'
import { ReadMemory } from '../pyramid/read-memory.js'
import { isLoopbackAddress } from './access/access-policy.js'
import { WrongTokens } from './access/wrong-tokens.js'
import { buildApp } from './app.js'
import type { DetectorCommand } from './detections/detector-command.js'
import { PortInUseError, portOwner } from './port-owner.js'
import { addPyramids } from './pyramids/add-pyramids.js'
import { PyramidRegistry } from './pyramids/registry.js'

/** Everything that a server is started with. */
export interface ServerConfig {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Folders whose pyramids may be set as source; needed on an address that others reach. */
  readonly roots: readonly string[]
  /** Folder below which clients may have pyramids built; without it none are. */
  readonly outputRoot?: string
  /** Made up where it is needed and not given. */
  readonly token?: string
  /** Further names under which the server may be asked; `*` allows every one. */
  readonly allowedHosts: readonly string[]
  /** Whether reading needs the token, too; not by itself. */
  readonly isPrivate?: boolean
  /** Origins whose pages may read, besides those of this machine; `*` for every one. */
  readonly corsOrigins?: readonly string[]
  /** Requests a second that one client may send; 0 for any number. By itself 1000 where others reach the server. */
  readonly requestsPerSecond?: number
  /** Prefix of all paths, with a slash at both ends. */
  readonly basePath?: string
  /** Whether a proxy in front says who asks, and for which host. Others reach the server through it. */
  readonly trustProxy?: boolean
  /** Bound on all that is kept in memory of pyramids: encoded tiles, samples, and indexes of open files. */
  readonly cacheBytes: number
  /** Folder for what outlives the server, made when it is needed; without one, ROIs live in memory. */
  readonly stateFolder?: string
  /** Programs that find objects, besides the built-in detectors. */
  readonly detectors?: readonly DetectorCommand[]
  /** Pyramids, or folders of pyramids, to serve; the first one is current. */
  readonly pyramids: readonly string[]
  readonly logger: FastifyBaseLogger
  /** Name and version of the program, e.g. `tilestage 0.1.0`. */
  readonly software: string
  /** Folder of the built viewer, unless it lies beside this module's folder. */
  readonly assetsFolder?: string
}

export interface RunningServer {
  /**
   * Where a browser finds it, e.g. `http://127.0.0.1:8979/`; with `#token=…` where there is one, so it is shown to
   * whoever started the server and nobody else.
   */
  readonly url: string
  /** Undefined where none is needed. */
  readonly token: string | undefined
  /**
   * Show a pyramid while a build in this process makes it.
   * @throws {UnsupportedDataError} the build has written no plan yet.
   */
  attach(build: BuildFeed): Promise<void>
  /** Answers what is under way, ends event streams, closes pyramids. */
  close(): Promise<void>
}

/** What one client may ask for where others reach the server: several browsers at their fastest. */
const REQUESTS_PER_SECOND = 1000

const BUILT_ASSETS = fileURLToPath(builtModule('public'))

/**
 * Open the pyramids and listen.
 *
 * @throws {UsageError} `--root` is missing, or the token empty.
 * @throws {PortInUseError} something else listens there. @throws {SourceUnavailableError} the port may not be used, or
 *   the address is not ours.
 * @throws {TilestageError} a pyramid or root cannot be opened.
 */
export async function startServer(config: ServerConfig): Promise<RunningServer> {
  const { isPrivate = false, trustProxy = false, corsOrigins = [], basePath = '/' } = config
  const loopback = isLoopbackAddress(config.host) && !trustProxy
  if (!loopback && config.roots.length === 0) {
    const why = trustProxy ? 'Others reach the server through its proxy' : `Others can reach ${config.host}`
    throw new UsageError(`${why}, so --root must say below which folder pyramids may be opened; 127.0.0.1 needs none.`)
  }
  if (config.token === '') throw new UsageError('The token is empty; leave --token out to have one made.')
  const token = config.token ?? (loopback && !isPrivate ? undefined : randomBytes(24).toString('base64url'))
  const requestsPerSecond = config.requestsPerSecond ?? (loopback ? 0 : REQUESTS_PER_SECOND)
  const outputRoot = config.outputRoot === undefined ? undefined : await realRoot(config.outputRoot)
  const roots = await Promise.all(config.roots.map(realRoot))
  // What was built may be shown again later.
  if (outputRoot !== undefined && roots.length > 0) roots.push(outputRoot)
  const memory = new ReadMemory(config.cacheBytes, roots)
  const registry = new PyramidRegistry(config.logger, path => openPyramid(path, memory))
  let app: FastifyInstance | undefined
  try {
    for (const path of config.pyramids) await addPyramids(registry, path, config.logger)
    app = await buildApp({
      registry,
      logger: config.logger,
      policy: {
        loopback,
        token,
        isPrivate,
        corsOrigins,
        allowedHosts: config.allowedHosts,
        machineName: hostname(),
        wrongTokens: new WrongTokens(),
      },
      ...(requestsPerSecond > 0 && { requestsPerSecond }),
      basePath,
      trustProxy,
      roots,
      outputRoot,
      memory,
      assetsFolder: config.assetsFolder ?? BUILT_ASSETS,
      stateFolder: config.stateFolder,
      detectors: config.detectors,
      version: config.software.split(' ').at(-1) ?? '',
    })
    await listen(app, config.host, config.port)
  } catch (error) {
    await (app ?? registry).close()
    throw error
  }
  const url = new URL(basePath, publicUrl(app, config.host)).href
  config.logger.info({ url, loopback, roots }, 'server listening')
  // A fragment never reaches a server or its log.
  return {
    url: token === undefined ? url : `${url}#token=${token}`,
    token,
    attach: build => registry.attach(build),
    close: () => app.close(),
  }
}

async function realRoot(root: string): Promise<string> {
  try {
    return await realpath(root)
  } catch (error) {
    throw fromSystemError(error, root)
  }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    // For this one name fastify would open a second server on ::1, which it does not drain when it closes.
    await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port, listenTextResolver: () => 'listening' })
  } catch (error) {
    switch (systemCode(error)) {
      case 'EADDRINUSE':
        throw new PortInUseError(host, port, await portOwner(port))
      case 'EACCES':
        throw new SourceUnavailableError(
          `Port ${port} may not be used without special rights; choose one above 1023 with --port.`,
        )
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        throw new SourceUnavailableError(
          `${host} is no address of this machine; --host takes 127.0.0.1, 0.0.0.0 or one that it has.`,
        )
      default:
        throw new SourceUnavailableError(`The server cannot listen on ${host}: ${(error as Error).message}.`, {
          cause: error,
        })
    }
  }
}

/** An address of "every interface" is none that a browser could ask, so this machine's name stands for it. */
function publicUrl(app: FastifyInstance, host: string): string {
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}/`
}
