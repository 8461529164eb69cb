import { readdir, readFile, readlink } from 'node:fs/promises'
import { SourceUnavailableError } from '../errors.js'

const LISTENING = '0A'
const MOST_CHARACTERS = 80

/** Something listens where the server was to. */
export class PortInUseError extends SourceUnavailableError {
  constructor(host: string, port: number, owner = 'another program') {
    super(`Port ${port} of ${host} is in use by ${owner}; stop that, or choose another port with --port.`)
  }
}

/**
 * What listens on a port of this machine, e.g. `python3 -m http.server 8979 (process 812)`.
 *
 * @returns undefined where the system does not tell: Linux does, of the user's own programs.
 */
export async function portOwner(port: number): Promise<string | undefined> {
  const sockets = new Set((await listeningSockets(port)).map(inode => `socket:[${inode}]`))
  if (sockets.size === 0) return undefined
  for (const process of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const files = await readdir(`/proc/${process}/fd`).catch(() => [])
    const targets = await Promise.all(files.map(file => readlink(`/proc/${process}/fd/${file}`).catch(() => '')))
    if (!targets.some(target => sockets.has(target))) continue
    const command = (await readFile(`/proc/${process}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ').trim()
    const shown = command.length > MOST_CHARACTERS ? `${command.slice(0, MOST_CHARACTERS)}…` : command
    return `${shown || 'a program'} (process ${process})`
  }
  return undefined
}

/** Inode numbers of the sockets that listen on a port: `… address:PORT remote STATE … inode …`, numbers in hexadecimal. */
async function listeningSockets(port: number): Promise<string[]> {
  const tables = await Promise.all(['tcp', 'tcp6'].map(name => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  return tables
    .flatMap(table => table.split('\n').slice(1))
    .map(line => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === LISTENING && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
    .map(fields => fields[9] ?? '')
}
