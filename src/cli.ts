#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { onOneLine, type Terminal } from './commands/terminal.js'
import { commandHelp, type Flags, findCommand, parseFlags, programHelp } from './config.js'
import { fromSystemError, TilestageError, UsageError } from './errors.js'

type Run = (flags: Flags, terminal: Terminal) => Promise<number>

/** Loaded when they are asked for: help and `info` need no server, and Ctrl-C is heard while one loads. */
const RUN: Record<string, () => Promise<Run>> = {
  build: async () => (await import('./commands/build.js')).build,
  serve: async () => (await import('./commands/serve.js')).serve,
  view: async () => (await import('./commands/view.js')).view,
  export: async () => (await import('./commands/export.js')).exportPyramid,
  info: async () => (await import('./commands/info.js')).info,
  demo: async () => (await import('./commands/view.js')).demo,
}

const FAILED = 1
const WRONG_USAGE = 64
/** As shells have it: 128 + the signal's number. */
const STOPPED = { SIGINT: 130, SIGTERM: 143 }

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const stop = new AbortController()
let stoppedBy: keyof typeof STOPPED | undefined
/** Whether another program reads what is told: it is told of a failure as an event, too. */
let tellsEvents = false
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second Ctrl-C ends the process at once.
  process.once(name, () => {
    stoppedBy = name
    stop.abort()
  })
}
// A server that was killed leaves no build behind: it would wait, and keep its folder, for nobody.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref()
// A reader that went away (`tilestage build … | head -1`) is no failure, and no reason to stop building.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') return
  process.exit(explain(fromSystemError(error, 'The standard output')))
})
process.stderr.on('error', () => undefined)

/** The one place that reads the process' arguments and environment. */
async function main(args: readonly string[]): Promise<number> {
  const terminal: Terminal = {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: stop.signal,
    software: `tilestage ${version}`,
  }
  const [name, ...rest] = args
  if (name === '--version' || name === '-V') {
    terminal.stdout.write(`${version}\n`)
    return 0
  }
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    terminal.stdout.write(programHelp(version))
    return 0
  }
  if (name === undefined) {
    terminal.stderr.write(programHelp(version))
    return WRONG_USAGE
  }
  const command = findCommand(name === 'help' ? rest[0] : name)
  const end = rest.indexOf('--')
  const asked = end < 0 ? rest : rest.slice(0, end)
  if (name === 'help' || asked.includes('--help') || asked.includes('-h')) {
    terminal.stdout.write(commandHelp(command))
    return 0
  }
  const flags = parseFlags(command, rest, terminal.env)
  tellsEvents = flags.text('progress') === 'json'
  const run = await RUN[command.name]()
  stop.signal.throwIfAborted()
  return run(flags, terminal)
}

function explain(error: unknown): number {
  if (stoppedBy !== undefined && error === stop.signal.reason) return STOPPED[stoppedBy]
  if (error instanceof UsageError || error instanceof TilestageError) {
    const { message } = error
    const code = error instanceof UsageError ? 'WRONG_USAGE' : error.code
    if (tellsEvents) process.stdout.write(`${JSON.stringify({ event: 'failed', code, message })}\n`)
    process.stderr.write(`tilestage: ${onOneLine(message)}\n`)
    return error instanceof UsageError ? WRONG_USAGE : FAILED
  }
  process.stderr.write(`tilestage: this is a bug of ours: ${error instanceof Error ? error.stack : String(error)}\n`)
  return FAILED
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const status = explain(error)
  // Reading that was under way when the signal came would keep the process alive.
  if (stop.signal.aborted) process.exit(status)
  process.exitCode = status
}
