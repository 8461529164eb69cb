import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import type { Test } from 'tap'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import type { AccessPolicy } from '../../src/server/access.js'
import { buildApp } from '../../src/server/app.js'
import { PyramidRegistry } from '../../src/server/registry.js'

export interface TestApp {
  readonly app: FastifyInstance
  readonly registry: PyramidRegistry
  /** What was logged, parsed. */
  readonly log: readonly LogLine[]
}

export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [fact: string]: unknown
}

const ERROR_LEVEL = 50

export const LOCAL_POLICY: AccessPolicy = {
  loopback: true,
  token: undefined,
  allowedHosts: [],
  machineName: 'scope-pc',
}

/** Files that stand for the built viewer. */
export const PAGE_FILES = { 'index.html': '<!doctype html><p>page', 'viewer.js': 'export {}', 'viewer.css': 'p {}' }

/** The server with everything real, closed after the test; `open` replaces the opening of pyramids. */
export async function startTestApp(
  t: Test,
  options: {
    readonly pyramids?: readonly string[]
    readonly open?: (path: string) => Promise<Pyramid>
    readonly policy?: Partial<AccessPolicy>
    readonly roots?: readonly string[]
  } = {},
): Promise<TestApp> {
  const log: LogLine[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line)) })
  const registry = new PyramidRegistry(logger, options.open ?? openPyramid)
  for (const path of options.pyramids ?? []) await registry.addNamed(path)
  const app = await buildApp({
    registry,
    logger,
    policy: { ...LOCAL_POLICY, ...options.policy },
    roots: options.roots ?? [],
    cacheBytes: 2 ** 24,
    assetsFolder: join(t.testdirName, 'page'),
    version: '1.2.3',
  })
  t.teardown(() => app.close())
  return { app, registry, log }
}

/** Failures of ours that were logged. */
export function errorLines({ log }: TestApp): LogLine[] {
  return log.filter(({ level }) => level >= ERROR_LEVEL)
}
