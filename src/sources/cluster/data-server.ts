import { UsageError } from '../../errors.js'

/** Where PYME's data servers listen unless they are told otherwise. */
const DEFAULT_PORT = 15348

/** One data server of a cluster. Plain data, for worker threads. */
export interface DataServer {
  /** Name, address or bracketed IPv6 address. */
  readonly host: string
  readonly port: number
  /** The name that it announces itself by; undefined where the user named it, who means it whatever the cluster. */
  readonly service: string | undefined
}

/** As messages call it: `10.0.0.7:15348`. */
export function nameOfServer({ host, port }: DataServer): string {
  return `${host}:${port}`
}

/** "10.0.0.7:15348 and 10.0.0.8:15348"; the first eight by name. */
export function nameServers(servers: readonly DataServer[]): string {
  const names = servers.slice(0, 8).map(nameOfServer)
  if (servers.length > names.length) names.push(`${servers.length - names.length} more`)
  const last = names.pop() ?? 'none'
  return names.length > 0 ? `${names.join(', ')} and ${last}` : last
}

/**
 * Read the value of `--cluster`.
 *
 * @param text `host:port` and commas; without a port it is PYME's own.
 * @throws {UsageError} not of that form.
 */
export function parseServers(text: string): DataServer[] {
  const servers = new Map<string, DataServer>()
  for (const part of text.split(',').map(part => part.trim())) {
    const match = /^(\[[0-9a-f:.]+\]|[\p{L}\p{N}._-]+)(?::(\d{1,5}))?$/iu.exec(part)
    const port = match?.[2] === undefined ? DEFAULT_PORT : Number(match[2])
    if (!match || port < 1 || port > 65535) {
      throw new UsageError(
        `--cluster ${text} is not possible; it is the data servers as HOST:PORT, with commas between.`,
      )
    }
    const server = { host: match[1]!, port, service: undefined }
    servers.set(nameOfServer(server), server)
  }
  return [...servers.values()]
}
