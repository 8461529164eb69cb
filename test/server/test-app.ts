import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import type { Test } from 'tap'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { Pyramid } from '../../src/pyramid/pyramid.js'
import { ReadMemory } from '../../src/pyramid/read-memory.js'
import type { AccessPolicy } from '../../src/server/access/access-policy.js'
import { WrongTokens } from '../../src/server/access/wrong-tokens.js'
import { type AppOptions, buildApp } from '../../src/server/app.js'
import type { DetectorCommand } from '../../src/server/detections/detector-command.js'
import { PyramidRegistry } from '../../src/server/pyramids/registry.js'

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
  isPrivate: false,
  corsOrigins: [],
  allowedHosts: [],
  machineName: 'scope-pc',
  wrongTokens: new WrongTokens(),
}

/** Files that stand for the built viewer. */
export const PAGE_FILES = {
  'index.html': '<!doctype html><p>page',
  'viewer.js': 'export {}',
  'viewer.css': 'p {}',
  'grid.html': '<!doctype html><p>grid',
  'grid.js': 'export {}',
  'grid.css': 'p {}',
}

/** The server with everything real, closed after the test; `open` replaces the opening of pyramids. */
export async function startTestApp(
  t: Test,
  options: {
    readonly pyramids?: readonly string[]
    readonly open?: (path: string) => Promise<Pyramid>
    readonly policy?: Partial<AccessPolicy>
    readonly roots?: readonly string[]
    readonly stateFolder?: string
    readonly detectors?: readonly DetectorCommand[]
    readonly outputRoot?: string
    readonly app?: Pick<AppOptions, 'requestsPerSecond' | 'basePath' | 'trustProxy'>
  } = {},
): Promise<TestApp> {
  const log: LogLine[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line)) })
  const memory = new ReadMemory(2 ** 24, options.roots)
  const registry = new PyramidRegistry(logger, options.open ?? (path => openPyramid(path, memory)))
  for (const path of options.pyramids ?? []) await registry.addNamed(path)
  const app = await buildApp({
    registry,
    logger,
    policy: { ...LOCAL_POLICY, wrongTokens: new WrongTokens(), ...options.policy },
    roots: options.roots ?? [],
    stateFolder: options.stateFolder,
    detectors: options.detectors,
    outputRoot: options.outputRoot,
    memory,
    assetsFolder: join(t.testdirName, 'page'),
    version: '1.2.3',
    ...options.app,
  })
  t.teardown(() => app.close())
  return { app, registry, log }
}

/** Failures of ours that were logged. */
export function errorLines({ log }: TestApp): LogLine[] {
  return log.filter(({ level }) => level >= ERROR_LEVEL)
}
