import type { Flags } from '../config.js'
import { SourceUnavailableError } from '../errors.js'
import type { ServerConfig } from '../server/serve.js'

const ANSWER_MS = 5000

/** With any of these a server of one's own is meant, and not the one that is there. */
const OWN_SERVER_FLAGS = [
  ...['host', 'root', 'output-root', 'private', 'cors', 'allowed-host', 'base-path', 'trust-proxy', 'rate-limit'],
  'detector',
]

/**
 * Where another tilestage listens on the port, have that show a pyramid.
 *
 * @param path of the pyramid, absolute.
 * @returns its address; undefined where it is no tilestage, or a server of one's own is wanted.
 * @throws {SourceUnavailableError} it refuses.
 */
export async function swapRunning(
  { host, port }: Pick<ServerConfig, 'host' | 'port'>,
  path: string,
  flags: Flags,
): Promise<string | undefined> {
  if (OWN_SERVER_FLAGS.some(name => flags.has(name))) return undefined
  const url = `http://${host}:${port}/`
  if ((await programAt(url)) !== 'tilestage') return undefined
  const token = flags.text('token')
  const answer = await fetch(new URL('current', url), {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...(token && { 'x-tilestage-token': token }) },
    body: JSON.stringify({ tile_dir: path }),
  })
  if (answer.ok) return url
  const { message } = (await answer.json()) as { message: string }
  throw new SourceUnavailableError(
    `Another tilestage listens on port ${port} and refuses to show ${path} (${message.replace(/\.$/, '')}); --port N starts one beside it.`,
    { url },
  )
}

/** What a server says that it is; undefined where it is of another kind. */
async function programAt(url: string): Promise<unknown> {
  try {
    const answer = await fetch(new URL('healthz', url), { signal: AbortSignal.timeout(ANSWER_MS) })
    return ((await answer.json()) as { readonly program?: unknown } | null)?.program
  } catch {
    return undefined
  }
}
