import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const SERVE_DATA = fileURLToPath(new URL('serve-data.js', import.meta.url))

export interface RunningServers {
  /** For `--cluster`. */
  readonly addresses: string
  stop(): Promise<void>
}

/** Serve each folder by a data server in a process of its own. */
export async function startDataServers(roots: readonly string[]): Promise<RunningServers> {
  const children = roots.map(root =>
    spawn(process.execPath, [SERVE_DATA, root], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const addresses = await Promise.all(
    children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()),
  )
  return {
    addresses: addresses.join(','),
    async stop() {
      // An interrupt from a terminal reaches them too.
      const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
      const ended = running.map(child => once(child, 'exit'))
      for (const { stdin } of children) stdin.end()
      await Promise.all(ended)
    },
  }
}
