import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * A port of this machine that nothing listens on. It is below those that the system hands out by itself, of which Jupyter's kernels,
 * browsers and other tests would take it before the test does.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(20_000, 32_000)
  const server = createServer()
  const isFree = once(server, 'listening').then(
    () => true,
    () => false,
  )
  server.listen(port, '127.0.0.1')
  if (!(await isFree)) return freePort()
  server.close()
  await once(server, 'close')
  return port
}
