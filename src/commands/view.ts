import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BUILD_FLAGS, type Flags } from '../config.js'
import { UsageError } from '../errors.js'
import { fingerprintOf } from '../pyramid/build-pyramid.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import type { FrameSource } from '../sources/frame-source.js'
import { buildFrom } from './build.js'
import { holdsPyramid } from './holds-pyramid.js'
import { readServerSettings, serveFolders } from './serve.js'
import type { Terminal } from './terminal.js'

/** `tilestage view`: build the series (or take the pyramid as it is), then serve. */
export async function view(flags: Flags, terminal: Terminal): Promise<number> {
  const [first] = flags.positionals
  if (first === undefined && !flags.has('channel')) throw new UsageError('Name the series or the pyramid to view.')
  // A wrong server flag is told before the build, not after it.
  const server = readServerSettings(flags, terminal)
  if (flags.positionals.length === 1 && (await holdsPyramid(first))) {
    const given = BUILD_FLAGS.find(name => flags.has(name))
    if (given) throw new UsageError(`${first} is a pyramid already; --${given} is for series that are to be built.`)
    return serveFolders([first], server, flags, terminal)
  }
  const output = flags.text('output')
  const { path } = await buildFrom(
    flags,
    terminal,
    (sources, settings) => output ?? cacheFolder(sources, settings, terminal.env),
  )
  return serveFolders([path], server, flags, terminal)
}

/** `tilestage demo`: view the sample plate that comes with the program. */
export async function demo(flags: Flags, terminal: Terminal): Promise<number> {
  if (flags.positionals.length > 0) throw new UsageError('tilestage demo takes no series; tilestage view does.')
  const plate = join(dirname(fileURLToPath(import.meta.url)), '../../examples/plate')
  return view(flags.withPositionals([plate]), terminal)
}

/** The same series and settings are built once: `CACHE/tilestage/FINGERPRINT/NAME`. */
function cacheFolder(sources: readonly FrameSource[], settings: BuildSettings, env: NodeJS.ProcessEnv): string {
  const [{ url, series }] = sources
  const name = sources.length === 1 ? series.name : basename(dirname(resolve(url)))
  return join(cacheHome(env), 'tilestage', fingerprintOf(sources, settings), name || 'plate')
}

/** @throws {UsageError} the user has no home, as in a container with a user of its own. */
function cacheHome({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string {
  // A relative one is to be ignored, as the XDG specification has it.
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return XDG_CACHE_HOME
  try {
    return join(homedir(), '.cache')
  } catch {
    throw new UsageError('This user has no home folder to build below; say where with --output DIR.')
  }
}
