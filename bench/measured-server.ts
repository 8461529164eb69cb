import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Core of the servers that are measured, and of the program that asks them. */
const SERVER_CORE = '0'
const CLIENT_CORE = '1'

/** Linux counts processor time in hundredths of a second. */
const TICK_US = 10_000

const START_TRIES = 200
const START_WAIT_MS = 50

/** A server with a core for itself; what it starts shares the core. */
export class MeasuredServer {
  readonly #children: readonly ChildProcess[]

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children
  }

  /**
   * Start a program for each command and wait until it listens.
   *
   * @throws {Error} it ended, or does not listen within ten seconds.
   */
  static async start(
    commands: readonly {
      readonly command: readonly string[]
      readonly port: number
      readonly env?: NodeJS.ProcessEnv
    }[],
  ): Promise<MeasuredServer> {
    const children: ChildProcess[] = []
    for (const { command, port, env } of commands) {
      const child = spawn('taskset', ['-c', SERVER_CORE, ...command], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, ...env },
      })
      children.push(child)
      await untilListening(port, child, command)
    }
    return new MeasuredServer(children)
  }

  /** Processor time that all its processes have taken so far, µs. */
  get cpuUs(): number {
    // Behind the name in brackets: user and system time are the 14th and 15th field of all.
    const ticks = (pid: number): number => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
      return Number(fields[11]) + Number(fields[12])
    }
    return this.#pids.reduce((sum, pid) => sum + ticks(pid), 0) * TICK_US
  }

  /** Memory that its processes have now, MB. */
  get rssMb(): number {
    const kb = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
    return (this.#pids.reduce((sum, pid) => sum + kb(pid), 0) * 1024) / 1e6
  }

  get #pids(): number[] {
    return this.#children.map(({ pid }) => pid as number)
  }

  async stop(): Promise<void> {
    const ended = this.#children.map(child => child.exitCode ?? child.signalCode ?? once(child, 'exit'))
    for (const child of this.#children) child.kill()
    await Promise.all(ended)
  }
}

async function untilListening(port: number, child: ChildProcess, command: readonly string[]): Promise<void> {
  for (let tries = 0; tries < START_TRIES; tries++) {
    if (child.exitCode !== null) throw new Error(`${command.join(' ')} ended with status ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      await delay(START_WAIT_MS)
    } finally {
      socket.destroy()
    }
  }
  throw new Error(`${command.join(' ')} does not listen on port ${port}`)
}

export interface Load {
  readonly requestsPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuUsPerRequest: number
}

/** Takes the addresses one after the other, again and again; prints one line of numbers. */
const WALK = `
local paths, i = {}, 0
function init(args)
  for path in io.lines(args[1]) do paths[#paths + 1] = wrk.format("GET", path) end
end
function request()
  i = i % #paths + 1
  return paths[i]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("figures %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

/** The text of the script that `load` needs. */
export const WALK_SCRIPT = WALK

/**
 * Ask a server as fast as it answers.
 *
 * @param paths a file with a path in each line. @param script a file with `WALK_SCRIPT`.
 * @throws {Error} an answer was an error: then the figures mean nothing.
 */
export async function load(
  server: MeasuredServer,
  options: {
    readonly port: number
    readonly paths: string
    readonly script: string
    readonly connections: number
    readonly seconds: number
  },
): Promise<Load> {
  const { port, paths, script, connections, seconds } = options
  const before = server.cpuUs
  const { stdout } = await run('taskset', [
    ...['-c', CLIENT_CORE, 'wrk', '-t1', `-c${connections}`, `-d${seconds}`, '-s', script],
    ...[`http://127.0.0.1:${port}/`, '--', paths],
  ])
  const cpuUs = server.cpuUs - before
  const [requests, durationUs, p50Us, p99Us, errors] = (/figures (.*)/.exec(stdout)?.[1] ?? '').split(' ').map(Number)
  if (!(requests > 0) || errors !== 0) throw new Error(`${errors} of ${requests} requests failed: ${stdout}`)
  return {
    requestsPerS: requests / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
    cpuUsPerRequest: cpuUs / requests,
  }
}

/** How late the event loop of a tilestage server was since this was asked last: 99 of 100 times not more, ms. */
export async function loopDelayP99Ms(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return 1000 * Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(text)?.[1])
}
