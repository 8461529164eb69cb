import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { pino } from 'pino'
import type { Flags } from '../config.js'
import { UsageError } from '../errors.js'
import { readBasePath } from '../server/access/base-path.js'
import { parseDetectors } from '../server/detections/detector-command.js'
import { PortInUseError } from '../server/port-owner.js'
import { type RunningServer, type ServerConfig, startServer } from '../server/serve.js'
import { swapRunning } from './swap-running.js'
import { type Terminal, untilStopped } from './terminal.js'

const DEFAULT_PORT = 8979
const DEFAULT_CACHE_BYTES = 512 * 2 ** 20

/** How a server is started, whatever it shows. */
export type ServerSettings = Omit<ServerConfig, 'pyramids'>

/** `tilestage serve`: runs until it is stopped. */
export async function serve(flags: Flags, terminal: Terminal): Promise<number> {
  return serveFolders(flags.positionals, readServerSettings(flags, terminal), flags, terminal)
}

/** @throws {UsageError} a flag whose value makes no sense. */
export function readServerSettings(flags: Flags, { software, env }: Terminal): ServerSettings {
  const level = flags.oneOf('log-level', ['silent', 'error', 'warn', 'info', 'debug']) ?? 'warn'
  return {
    host: flags.text('host') ?? '127.0.0.1',
    port: flags.integer('port', 0, 65535) ?? DEFAULT_PORT,
    roots: flags.all('root'),
    outputRoot: flags.text('output-root'),
    token: flags.text('token'),
    isPrivate: flags.has('private'),
    corsOrigins: readOrigins(flags),
    allowedHosts: flags.all('allowed-host'),
    basePath: readBasePath(flags.text('base-path') ?? '/'),
    trustProxy: flags.has('trust-proxy'),
    requestsPerSecond: flags.integer('rate-limit', 0, 1_000_000),
    cacheBytes: flags.bytes('cache') ?? DEFAULT_CACHE_BYTES,
    logger: pino({ level }, pino.destination(2)),
    software,
    stateFolder: stateFolder(env),
    detectors: parseDetectors(flags.all('detector')),
  }
}

/** @throws {UsageError} one of them is no origin. */
function readOrigins(flags: Flags): string[] {
  return flags.all('cors').map(text => {
    if (text === '*') return text
    const url = URL.canParse(text) ? new URL(text) : undefined
    const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`
    if (isOrigin) return url.origin
    throw new UsageError(`--cors ${text} is not possible; it is an origin such as https://lab.example, or *.`)
  })
}

/** Where ROI lists are kept; undefined where the user has no home, as in a container with a user of its own. */
function stateFolder({ XDG_STATE_HOME }: NodeJS.ProcessEnv): string | undefined {
  // A relative one is to be ignored, as the XDG specification has it.
  if (XDG_STATE_HOME && isAbsolute(XDG_STATE_HOME)) return join(XDG_STATE_HOME, 'tilestage')
  try {
    return join(homedir(), '.local', 'state', 'tilestage')
  } catch {
    return undefined
  }
}

/** Serve until SIGINT or SIGTERM; the first folder is shown at first. */
export async function serveFolders(
  pyramids: readonly string[],
  settings: ServerSettings,
  flags: Flags,
  terminal: Terminal,
): Promise<number> {
  const [shown] = pyramids.length === 1 ? pyramids : []
  const place = await untilStopped(startOrSwap({ ...settings, pyramids }, shown, flags), terminal)
  announce(place, flags, terminal)
  if (!place.server) return 0
  if (!terminal.signal.aborted) await once(terminal.signal, 'abort')
  await place.server.close()
  return 0
}

/** Where a pyramid is shown: by a server of this process, or by one that ran before. */
export interface ServingPlace {
  readonly url: string
  readonly server?: RunningServer
}

/**
 * Start a server; where another tilestage listens already, have that show the pyramid.
 *
 * @param shown folder of the pyramid; undefined where it is not one, and only a server of our own will do.
 * @throws as `startServer`, and {SourceUnavailableError} the other one refuses.
 */
export async function startOrSwap(
  config: ServerConfig,
  shown: string | undefined,
  flags: Flags,
): Promise<ServingPlace> {
  try {
    const server = await startServer(config)
    return { url: server.url, server }
  } catch (error) {
    if (!(error instanceof PortInUseError) || shown === undefined) throw error
    const url = await swapRunning(config, shown, flags)
    if (url === undefined) throw error
    return { url }
  }
}

/** Say where a pyramid is shown, and open a browser if that is wanted. */
export function announce({ url: viewer, server }: ServingPlace, flags: Flags, terminal: Terminal): void {
  const url = flags.has('grid') ? gridUrl(viewer) : viewer
  terminal.stdout.write(
    flags.text('progress') === 'json' ? `${JSON.stringify({ event: 'serving', url })}\n` : `${url}\n`,
  )
  if (!server) terminal.stderr.write('Another tilestage listens there, and shows it now.\n')
  else if (terminal.stderr.isTTY) terminal.stderr.write('Ctrl-C stops the server.\n')
  if (flags.has('open')) openBrowser(url, terminal)
}

/** Open a page in the browser of the desktop; where there is none, its address is told. */
export function openBrowser(url: string, { stderr }: Pick<Terminal, 'stderr'>): void {
  const [program, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start', ''] }[process.platform as string] ?? [
    'xdg-open',
  ]
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true })
  child.on('error', () => stderr.write(`tilestage: No browser could be opened; open ${url} yourself.\n`))
  child.unref()
}

/** Of the page that shows all channels side by side; a token stays with it. */
function gridUrl(viewer: string): string {
  const { hash } = new URL(viewer)
  return new URL(`grid.html${hash}`, viewer).href
}
