import { readFileSync } from 'node:fs'
import { packagedFile } from './built-module.js'
import { onOneLine, type Terminal } from './commands/terminal.js'
import { commandHelp, type Flags, findCommand, parseFlags, programHelp } from './config.js'
import { TilestageError, UsageError } from './errors.js'

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

const { version } = JSON.parse(readFileSync(packagedFile('package.json'), 'utf8')) as { version: string }

/** Name and version. */
export const SOFTWARE = `tilestage ${version}`

/**
 * Run one command line.
 *
 * @param args what follows `tilestage`.
 * @returns the exit status; what is wrong was told on the terminal.
 * @throws the reason of the terminal's signal, where that stopped it.
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  /** Whether another program reads what is told: it is told of a failure as an event, too. */
  let tellsEvents = false
  try {
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
    terminal.signal.throwIfAborted()
    return await run(flags, terminal)
  } catch (error) {
    if (terminal.signal.aborted && error === terminal.signal.reason) throw error
    if (tellsEvents && isOfUser(error)) {
      const code = error instanceof UsageError ? 'WRONG_USAGE' : error.code
      terminal.stdout.write(`${JSON.stringify({ event: 'failed', code, message: error.message })}\n`)
    }
    return tellFailure(error, terminal)
  }
}

/** @returns the exit status. */
export function tellFailure(error: unknown, { stderr }: Pick<Terminal, 'stderr'>): number {
  if (isOfUser(error)) {
    stderr.write(`tilestage: ${onOneLine(error.message)}\n`)
    return error instanceof UsageError ? WRONG_USAGE : FAILED
  }
  stderr.write(`tilestage: this is a bug of ours: ${error instanceof Error ? error.stack : String(error)}\n`)
  return FAILED
}

/** Whether the sentence is for the user; else something is wrong with the program. */
function isOfUser(error: unknown): error is UsageError | TilestageError {
  return error instanceof UsageError || error instanceof TilestageError
}
