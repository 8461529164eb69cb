import { spawnSync } from 'node:child_process'

/** What a process took as a whole. */
export interface Account {
  readonly wallS: number
  readonly cpuS: number
  /** Most memory at any moment, MB (10⁶ bytes). */
  readonly rssMb: number
  readonly stdout: string
}

/** Loaded into the measured process: what the operating system counted for it, when it ends. */
const REPORT = `data:text/javascript,${encodeURIComponent("process.on('exit', () => { const u = process.resourceUsage(); process.stderr.write('\\nusage ' + JSON.stringify([u.userCPUTime + u.systemCPUTime, u.maxRSS]) + '\\n') })")}`

/**
 * Run a Node program and measure it, threads included.
 *
 * @throws {Error} it failed: a wrong answer is no measurement.
 */
export function account(program: string, args: readonly string[]): Account {
  const started = performance.now()
  const child = spawnSync(process.execPath, ['--import', REPORT, program, ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  const wallS = (performance.now() - started) / 1000
  if (child.status !== 0) throw new Error(`${program} ${args[0]} failed: ${child.stderr}`)
  const [cpuUs, rssKb] = JSON.parse(/usage (.*)/.exec(child.stderr)?.[1] ?? '[]') as number[]
  return { wallS, cpuS: cpuUs / 1e6, rssMb: (rssKb * 1024) / 1e6, stdout: child.stdout }
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
