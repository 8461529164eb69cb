import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { ShardJournal, type ShardKey } from '../../src/pyramid/shard-journal.js'
import { GrowingPlate } from '../pyramid/growing-plate.js'
import { PAGE_FILES, startTestApp, type TestApp } from './test-app.js'

export interface GrowingServer extends TestApp {
  readonly plate: GrowingPlate
  readonly journal: ShardJournal
  readonly id: string
  ask(url: string): Promise<LightMyRequestResponse>
  /** Ask below the pyramid's own URL. */
  get(url: string): Promise<LightMyRequestResponse>
  /** Write a shard and its line in the journal, as a builder in another process does. */
  build(key: ShardKey, shown?: GrowingPlate['frames']): Promise<void>
}

/** A server that shows a plate of which there is a plan and nothing else. */
export async function serveGrowing(t: Test): Promise<GrowingServer> {
  const directory = join(t.testdir({ page: PAGE_FILES }), 'plate')
  const plate = new GrowingPlate(directory, { columns: 2, rows: 1 })
  await plate.writePlan()
  const journal = await ShardJournal.open(directory)
  t.teardown(() => journal.close())
  const server = await startTestApp(t, { pyramids: [directory] })
  const { id } = plate.record
  const ask = async (url: string) => server.app.inject(url)
  return {
    ...server,
    plate,
    journal,
    id,
    ask,
    get: url => ask(`/pyramids/${id}${url}`),
    async build(key, shown) {
      journal.append(await plate.writeShard(key, shown))
      await server.registry.use(id, ({ pyramid }) => pyramid.growth!.look())
    },
  }
}
