#!/usr/bin/env node
import { fromSystemError } from './errors.js'
import { runProgram, SOFTWARE, tellFailure } from './program.js'

/** As shells have it: 128 + the signal's number. */
const STOPPED = { SIGINT: 130, SIGTERM: 143 }

const stop = new AbortController()
let stoppedBy: keyof typeof STOPPED = 'SIGTERM'
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
  process.exit(tellFailure(fromSystemError(error, 'The standard output'), process))
})
process.stderr.on('error', () => undefined)

// The one place that reads the process' arguments and environment.
const { env, stdout, stderr } = process
const terminal = { env, stdout, stderr, signal: stop.signal, software: SOFTWARE }
const status = await runProgram(process.argv.slice(2), terminal).catch(() => STOPPED[stoppedBy])
// Reading that was under way when the signal came would keep the process alive.
if (stop.signal.aborted && status !== 0) process.exit(status)
process.exitCode = status
