import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pino } from 'pino'
import type { Flags } from '../config.js'
import { type RunningServer, type ServerConfig, startServer } from '../server/serve.js'
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
export function readServerSettings(flags: Flags, { software }: Terminal): ServerSettings {
  const level = flags.oneOf('log-level', ['silent', 'error', 'warn', 'info', 'debug']) ?? 'warn'
  return {
    host: flags.text('host') ?? '127.0.0.1',
    port: flags.integer('port', 0, 65535) ?? DEFAULT_PORT,
    roots: flags.all('root'),
    token: flags.text('token'),
    allowedHosts: flags.all('allowed-host'),
    cacheBytes: flags.bytes('cache') ?? DEFAULT_CACHE_BYTES,
    logger: pino({ level }, pino.destination(2)),
    software,
  }
}

/** Serve until SIGINT or SIGTERM; the first folder is shown at first. */
export async function serveFolders(
  pyramids: readonly string[],
  settings: ServerSettings,
  flags: Flags,
  terminal: Terminal,
): Promise<number> {
  const server = await untilStopped(startServer({ ...settings, pyramids }), terminal)
  announce(server, flags, terminal)
  if (!terminal.signal.aborted) await once(terminal.signal, 'abort')
  await server.close()
  return 0
}

/** Say where a server is, and open a browser if that is wanted. */
export function announce({ url }: RunningServer, flags: Flags, terminal: Terminal): void {
  terminal.stdout.write(
    flags.text('progress') === 'json' ? `${JSON.stringify({ event: 'serving', url })}\n` : `${url}\n`,
  )
  if (terminal.stderr.isTTY) terminal.stderr.write('Ctrl-C stops the server.\n')
  if (flags.has('open')) openBrowser(url, terminal)
}

function openBrowser(url: string, terminal: Terminal): void {
  const [program, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start', ''] }[process.platform as string] ?? [
    'xdg-open',
  ]
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true })
  child.on('error', () => terminal.stderr.write(`tilestage: No browser could be opened; open ${url} yourself.\n`))
  child.unref()
}
