import { once } from 'node:events'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packagedFile } from '../built-module.js'
import { BUILD_FLAGS, type Flags } from '../config.js'
import { FolderInUseError } from '../engine/build-lock.js'
import { buildPyramid } from '../engine/build-pyramid.js'
import { fingerprintOfPlaces } from '../engine/fingerprint.js'
import { UsageError } from '../errors.js'
import type { BuildFeed } from '../pyramid/build-feed.js'
import type { BuildSettings } from '../pyramid/build-settings.js'
import type { FrameSource } from '../sources/frame-source.js'
import { buildFrom } from './build.js'
import { holdsPyramid } from './holds-pyramid.js'
import {
  announce,
  readServerSettings,
  type ServerSettings,
  type ServingPlace,
  serveFolders,
  startOrSwap,
} from './serve.js'
import { swapRunning } from './swap-running.js'
import { type Terminal, untilStopped } from './terminal.js'

/** `tilestage view`: serve a pyramid while it is built from its series, and on while these grow. */
export async function view(flags: Flags, terminal: Terminal): Promise<number> {
  const [first] = flags.positionals
  if (first === undefined && !flags.has('channel')) throw new UsageError('Name the series or the pyramid to view.')
  // A wrong server flag is told before the build, not after it.
  const settings = readServerSettings(flags, terminal)
  if (flags.positionals.length === 1 && (await holdsPyramid(first))) {
    const given = BUILD_FLAGS.find(name => flags.has(name))
    if (given) throw new UsageError(`${first} is a pyramid already; --${given} is for series that are to be built.`)
    return serveFolders([first], settings, flags, terminal)
  }
  const output = flags.text('output')
  const shown = new ShownBuild(settings, flags, terminal)
  try {
    await buildFrom(flags, terminal, {
      follow: true,
      build: buildPyramid,
      replaces: output === undefined,
      place: (sources, built) => shown.at(output ?? cacheFolder(sources, built, terminal.env)),
      onStarted: feed => shown.show(feed),
      onComplete: () => shown.show(undefined),
    })
    await shown.untilStopped()
    return 0
  } catch (error) {
    // Whoever stops the command while it serves has seen what there was to see.
    if (shown.isServing && error === terminal.signal.reason) return 0
    if (error instanceof FolderInUseError && (await shown.byOther())) return 0
    throw error
  } finally {
    await shown.close()
  }
}

/** The server of a pyramid that is being built. */
class ShownBuild {
  readonly #settings: ServerSettings
  readonly #flags: Flags
  readonly #terminal: Terminal
  #path = ''
  #opening: Promise<ServingPlace> | undefined
  #isAttached = false
  #isAnnounced = false

  constructor(settings: ServerSettings, flags: Flags, terminal: Terminal) {
    this.#settings = settings
    this.#flags = flags
    this.#terminal = terminal
  }

  get isServing(): boolean {
    return this.#opening !== undefined
  }

  /** @returns the path, which the pyramid is going to have. */
  at(path: string): string {
    this.#path = path
    return path
  }

  /**
   * Serve what lies at the path, once; what the build tells is shown from then on.
   *
   * @param feed undefined where the pyramid at the path is not the one that is being built, or is complete.
   */
  async show(feed: BuildFeed | undefined): Promise<void> {
    const config = { ...this.#settings, pyramids: feed ? [] : [this.#path] }
    this.#opening ??= startOrSwap(config, this.#path, this.#flags)
    const place = await untilStopped(this.#opening, this.#terminal)
    if (feed && !this.#isAttached) {
      this.#isAttached = true
      // A server of another process follows the build by what it writes.
      await place.server?.attach(feed)
    }
    // Not before: a page that is opened at once shall find the pyramid.
    if (!this.#isAnnounced) announce(place, this.#flags, this.#terminal)
    this.#isAnnounced = true
  }

  /** Where another process builds the pyramid, a tilestage may serve it, too. @returns whether one does. */
  async byOther(): Promise<boolean> {
    const url = await swapRunning(this.#settings, this.#path, this.#flags)
    if (url !== undefined) announce({ url }, this.#flags, this.#terminal)
    return url !== undefined
  }

  async untilStopped(): Promise<void> {
    const place = await this.#opening
    const { signal } = this.#terminal
    if (!place?.server) return
    if (!signal.aborted) await once(signal, 'abort')
  }

  async close(): Promise<void> {
    const place = await this.#opening?.catch(() => undefined)
    await place?.server?.close()
  }
}

/** `tilestage demo`: view the sample plate that comes with the program. */
export async function demo(flags: Flags, terminal: Terminal): Promise<number> {
  if (flags.positionals.length > 0) throw new UsageError('tilestage demo takes no series; tilestage view does.')
  const plate = fileURLToPath(packagedFile('examples/plate'))
  return view(flags.withPositionals([plate]), terminal)
}

/** The same series and settings are built once: `CACHE/tilestage/FINGERPRINT/NAME`. */
function cacheFolder(sources: readonly FrameSource[], settings: BuildSettings, env: NodeJS.ProcessEnv): string {
  const [{ url, series }] = sources
  const name = sources.length === 1 ? series.name : basename(dirname(resolve(url)))
  return join(cacheHome(env), 'tilestage', fingerprintOfPlaces(sources, settings), name || 'plate')
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
