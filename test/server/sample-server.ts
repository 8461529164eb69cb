import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { type RunningServer, type ServerConfig, startServer } from '../../src/server/serve.js'
import { PLATE, tilestage } from '../run-cli.js'
import { type LogLine, PAGE_FILES } from './test-app.js'

export interface SampleServer extends RunningServer {
  /** Of the server, without the token. */
  readonly address: string
  /** Of the pyramid. */
  readonly id: string
  /** Real path of the pyramid. */
  readonly plate: string
  /** What was logged, parsed. */
  readonly log: readonly LogLine[]
}

/** Build the three-well sample plate. @returns its real path; it is removed after the test. */
export async function buildSamplePlate(t: Test): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'tilestage-')))
  t.teardown(() => rm(folder, { recursive: true }))
  const plate = join(folder, 'plate')
  const series = ['A1', 'A2', 'B1'].map(well => join(PLATE, `well_${well}.pcs`))
  const { status, stderr } = await tilestage(['build', ...series, '--output', plate, '--progress', 'none'])
  if (status !== 0) throw new Error(stderr)
  return plate
}

/** A server that listens on a free port and shows one pyramid, closed after the test. */
export async function startSampleServer(
  t: Test,
  plate: string,
  config: Partial<ServerConfig> = {},
): Promise<SampleServer> {
  const log: LogLine[] = []
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    roots: [],
    allowedHosts: [],
    cacheBytes: 2 ** 26,
    pyramids: [plate],
    logger: pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line)) }),
    software: 'tilestage 1.2.3',
    ...config,
    assetsFolder: config.assetsFolder ?? t.testdir(PAGE_FILES),
  })
  t.teardown(() => server.close())
  const address = server.url.split('#')[0]
  const { id } = JSON.parse(await readFile(join(plate, 'zarr.json'), 'utf8')).attributes.tilestage
  return { ...server, address, id, plate, log }
}
