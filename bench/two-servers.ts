/**
 * Two data servers with the sample plate spread over them, to try things with.
 * `npm run bench:servers`, and in another terminal the command that it prints.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { splitSeries } from '../test/data-server/split-series.js'
import { startDataServers } from './start-data-servers.js'

const plate = fileURLToPath(new URL('../../examples/plate', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'tilestage-two-servers-'))
const roots = [join(scratch, 'node0'), join(scratch, 'node1')] as const
for (const root of roots) mkdirSync(root)
for (const name of readdirSync(plate)) splitSeries(join(plate, name), roots, `multiwell/${name}`)

const servers = await startDataServers(roots)
console.log(`tilestage view 'pyme-cluster:///multiwell/*.pcs' --cluster ${servers.addresses}`)
console.log('Stop the servers with Ctrl-C.')
process.once('SIGINT', async () => {
  await servers.stop()
  rmSync(scratch, { recursive: true })
})
