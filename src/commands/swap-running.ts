import { resolve } from 'node:path'
import { type Flags, SERVER_FLAGS } from '../config.js'
import { SourceUnavailableError } from '../errors.js'
import type { ServerConfig } from '../server/serve.js'

const ANSWER_MS = 5000

/** With any server flag but these a server of one's own is meant, and not the one that is there. */
const ANY_SERVER_FLAGS = ['port', 'token', 'cache']

/**
 * Where another tilestage listens on the port, have that show a pyramid.
 *
 * @param path of the pyramid.
 * @returns its address; undefined where it is no tilestage, or a server of one's own is wanted.
 * @throws {SourceUnavailableError} it refuses.
 */
export async function swapRunning(
  { host, port }: Pick<ServerConfig, 'host' | 'port'>,
  path: string,
  flags: Flags,
): Promise<string | undefined> {
  if (SERVER_FLAGS.some(name => flags.has(name) && !ANY_SERVER_FLAGS.includes(name))) return undefined
  const folder = resolve(path)
  const url = `http://${host}:${port}/`
  if ((await programAt(url)) !== 'tilestage') return undefined
  const token = flags.text('token')
  const answer = await fetch(new URL('current', url), {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...(token && { 'x-tilestage-token': token }) },
    body: JSON.stringify({ tile_dir: folder }),
  })
  if (answer.ok) return url
  const { message } = (await answer.json()) as { message: string }
  throw new SourceUnavailableError(
    `Another tilestage listens on port ${port} and refuses to show ${folder} (${message.replace(/\.$/, '')}); --port N starts one beside it.`,
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
