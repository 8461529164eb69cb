import { randomBytes } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { fromSystemError, SourceUnavailableError, systemCode, UsageError } from '../errors.js'
import type { BuildFeed } from '../pyramid/build-feed.js'
import { isLoopbackAddress } from './access.js'
import { buildApp } from './app.js'
import { PyramidRegistry } from './registry.js'

/** Everything that a server is started with. */
export interface ServerConfig {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Folders whose pyramids may be set as source; needed on an address that others reach. */
  readonly roots: readonly string[]
  /** Made up where it is needed and not given. */
  readonly token?: string
  /** Further names under which the server may be asked; `*` allows every one. */
  readonly allowedHosts: readonly string[]
  /** Bound on encoded tiles in memory. */
  readonly cacheBytes: number
  /** Folders to serve; the first one is current. */
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

const BUILT_ASSETS = fileURLToPath(new URL('../public', import.meta.url))

/**
 * Open the pyramids and listen.
 *
 * @throws {UsageError} `--root` is missing, or the token empty.
 * @throws {SourceUnavailableError} the port is taken or may not be used, or the address is not ours.
 * @throws {TilestageError} a pyramid or root cannot be opened.
 */
export async function startServer(config: ServerConfig): Promise<RunningServer> {
  const loopback = isLoopbackAddress(config.host)
  if (!loopback && config.roots.length === 0) {
    throw new UsageError(
      `Others can reach ${config.host}, so --root must say below which folder pyramids may be opened; 127.0.0.1 needs none.`,
    )
  }
  if (config.token === '') throw new UsageError('The token is empty; leave --token out to have one made.')
  const token = config.token ?? (loopback ? undefined : randomBytes(24).toString('base64url'))
  const roots = await Promise.all(config.roots.map(realRoot))
  const registry = new PyramidRegistry(config.logger)
  let app: FastifyInstance | undefined
  try {
    for (const path of config.pyramids) await registry.addNamed(path)
    app = await buildApp({
      registry,
      logger: config.logger,
      policy: { loopback, token, allowedHosts: config.allowedHosts, machineName: hostname() },
      roots,
      cacheBytes: config.cacheBytes,
      assetsFolder: config.assetsFolder ?? BUILT_ASSETS,
      version: config.software.split(' ').at(-1) ?? '',
    })
    await listen(app, config.host, config.port)
  } catch (error) {
    await (app ?? registry).close()
    throw error
  }
  const url = publicUrl(app, config.host)
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
        throw new SourceUnavailableError(
          `Port ${port} of ${host} is in use; another server may be running, or choose another with --port.`,
        )
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
