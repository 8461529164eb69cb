import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { runProgram, SOFTWARE } from '../src/program.js'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The built program; `npm test` builds it first. */
export const CLI = join(root, 'dist/cli.js')
export const PLATE = join(root, 'examples/plate')

export interface Finished {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Surroundings {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface RunOptions extends Surroundings {
  /** Called with all of the standard output so far, whenever there is more. */
  readonly onOutput?: (stdout: string, child: ChildProcessWithoutNullStreams) => void
}

/** Run `tilestage` to its end, in a process of its own. */
export function tilestageProcess(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run(process.execPath, [CLI, ...args], options)
}

/** Commands that run in this process share its working folder, so they run one after the other. */
let last: Promise<unknown> = Promise.resolve()

/**
 * Run `tilestage` to its end, in this process: all that a process of its own does, without the time that one takes to
 * start. What is about signals, pipes or servers that stay needs the other one.
 */
export function tilestage(args: readonly string[], surroundings: Surroundings = {}): Promise<Finished> {
  const finished = last.then(() => runHere(args, surroundings))
  last = finished.catch(() => undefined)
  return finished
}

async function runHere(args: readonly string[], { cwd = process.cwd(), env }: Surroundings): Promise<Finished> {
  const said = { stdout: '', stderr: '' }
  const hear = (name: keyof typeof said): Writable =>
    new Writable({
      decodeStrings: false,
      write(text, _encoding, done) {
        said[name] += text
        done()
      },
    })
  const before = process.cwd()
  process.chdir(cwd)
  try {
    const status = await runProgram(args, {
      env: { ...process.env, ...env },
      stdout: hear('stdout'),
      stderr: hear('stderr'),
      signal: new AbortController().signal,
      software: SOFTWARE,
    })
    return { status, ...said }
  } finally {
    process.chdir(before)
  }
}

/**
 * Run a shell script in which `tilestage …; echo "= $?"` works; both outputs come back as `stdout`.
 *
 * @param mayMount whether the script gets file systems of its own to mount, which end with it.
 */
export function shell(script: string, cwd: string, mayMount = false): Promise<Finished> {
  const whole = `exec 2>&1\ntilestage() { "$NODE" "$CLI" "$@"; }\n${script}`
  const [command, ...before] = mayMount ? ['unshare', '-rm', 'bash'] : ['bash']
  return run(command, [...before, '-c', whole], { cwd, env: { NODE: process.execPath, CLI, PLATE } })
}

/** Run a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  { cwd, env, onOutput }: RunOptions,
): Promise<Finished> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', bytes => {
    stdout += bytes
    onOutput?.(stdout, child)
  })
  child.stderr.on('data', bytes => {
    stderr += bytes
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stdout, stderr }
}
