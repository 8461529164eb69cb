import { lstat, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Flag, findCommand, parseFlags } from '../../config.js'
import { fromSystemError, NotFoundError, systemCode, UsageError } from '../../errors.js'
import { isInside } from '../../is-inside.js'
import { readRootStamp } from '../../pyramid/root-stamp.js'
import { isClusterUrl } from '../../sources/cluster/cluster-url.js'
import { GLOB_CHARACTERS } from '../../sources/find-on-disk.js'
import { locateSeries } from '../../sources/open-source.js'
import type { HiddenPath } from '../http/error-replies.js'
import { type Parameters, quote, readFlag, readText } from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { nearestFolder, resolveInRoots } from '../http/tile-dir.js'

/** A plate has at most 1536 wells. */
const MAX_SERIES = 2000

const MAX_TEXT_LENGTH = 4096

/** Fields of a request that are no flags. */
const OWN_FIELDS: readonly string[] = ['series', 'output', 'show', 'wait', 'token']

/** Flags that are the server's own matter: where it writes, what it reads of the build, and what that may take. */
const SERVERS_FLAGS: readonly string[] = ['output', 'progress', 'workers', 'memory']

/** Flags whose value is a file. */
const FILE_FLAGS: readonly string[] = ['dark', 'gain', 'illumination', 'table']

const BUILD = findCommand('build')

/** Flags of `tilestage build` that a client may give, as parameters of the same names. */
export const ORDER_FLAGS: readonly Flag[] = BUILD.groups
  .flatMap(group => group.flags)
  .filter(({ name }) => !SERVERS_FLAGS.includes(name))

/** Where a client's builds may read and write; real paths. */
export interface BuildPlaces {
  /** With none, anything may be read that the server can. */
  readonly roots: readonly string[]
  readonly outputRoot: string
}

/** A build that a client asks for, judged and ready to be run. */
export interface BuildOrder {
  /** For the command line. */
  readonly args: readonly string[]
  /** Real path of the folder that is written. */
  readonly output: string
  /** The same as the client named it. */
  readonly outputName: string
  /** Whether everybody shall look at it. */
  readonly show: boolean
  /** What messages say instead of the server's own paths. */
  readonly hidden: readonly HiddenPath[]
}

/**
 * Read and judge what a client wants to have built. To be done again before a build that had to wait: folders may have
 * become links meanwhile.
 *
 * @throws {UsageError} a field that makes no sense. @throws {RequestRefusal} a path where the client has no business.
 * @throws {TilestageError} a series that does not exist; told here only where there are roots, else by the build.
 */
export async function readBuildOrder(fields: Parameters, places: BuildPlaces): Promise<BuildOrder> {
  const outputName = readText(fields, 'output')
  if (outputName === undefined) throw new UsageError('The parameter output is missing: the folder of the pyramid.')
  const flags = readOrderFlags(fields)
  const series = readTexts(fields, 'series')
  if (series.length > MAX_SERIES) {
    throw new UsageError(`${series.length} series are named; ${MAX_SERIES} are possible, or a folder or glob of them.`)
  }
  if (series.length === 0 && !flags.some(([name]) => name === 'channel')) {
    throw new UsageError('The parameter series is missing: paths or globs of the series to build from.')
  }
  const show = readFlag(fields, 'show') ?? false
  // Only to have the whole of it judged by the one who runs it: unknown combinations, flags that are given twice.
  parseFlags(BUILD, [...flags.map(writeFlag), '--', ...series], {})
  const output = await resolveOutput(outputName, places.outputRoot)
  const inputs =
    places.roots.length === 0 ? { series, flags, hidden: [] } : await judgeInputs(series, flags, places.roots)
  const args = [
    'build',
    `--output=${output}`,
    '--progress=json',
    ...inputs.flags.map(writeFlag),
    '--',
    ...inputs.series,
  ]
  return { args, output, outputName, show, hidden: [{ path: output, name: outputName }, ...inputs.hidden] }
}

/** Name and value; no value for a switch. */
type GivenFlag = readonly [name: string, value: string | undefined]

function writeFlag([name, value]: GivenFlag): string {
  // With the sign, a value that begins with a dash is one still.
  return value === undefined ? `--${name}` : `--${name}=${value}`
}

/** @throws {UsageError} a field that we do not know: a wrong name would silently make another pyramid. */
function readOrderFlags(fields: Parameters): GivenFlag[] {
  const given: GivenFlag[] = []
  for (const name of Object.keys(fields)) {
    if (OWN_FIELDS.includes(name) || fields[name] === undefined) continue
    const flag = ORDER_FLAGS.find(candidate => candidate.name === name)
    if (!flag) {
      const reason = SERVERS_FLAGS.includes(name) ? 'the server decides that' : 'builds have none of that name'
      const possible = ORDER_FLAGS.map(({ name }) => name).join(', ')
      throw new UsageError(
        `The parameter ${quote(name)} is not possible; ${reason}. Beside series, output, show and wait there are ${possible}.`,
      )
    }
    if (flag.value) given.push(...readTexts(fields, name).map(text => [name, text] as const))
    else if (readFlag(fields, name)) given.push([name, undefined])
  }
  return given
}

/** One text or several. */
function readTexts(fields: Parameters, name: string): readonly string[] {
  const texts = [fields[name] ?? []].flat()
  const wrong = texts.find(
    text => text === '' || text.startsWith('--') || text.includes('\0') || text.length > MAX_TEXT_LENGTH,
  )
  if (wrong !== undefined) throw new UsageError(`The parameter ${name} cannot be ${quote(wrong)}.`)
  return texts
}

/**
 * The real path of the folder to write, which need not exist.
 *
 * @throws {RequestRefusal} outside the output root, or in a folder that is a pyramid or a series itself.
 */
async function resolveOutput(name: string, outputRoot: string): Promise<string> {
  if (name.includes('\0') || name.length > MAX_TEXT_LENGTH) throw new UsageError(`No folder is called ${quote(name)}.`)
  const real = await realPathOf(resolve(outputRoot, name))
  if (real === outputRoot || !isInside(real, outputRoot)) {
    throw new RequestRefusal(
      'OUTSIDE_ROOTS',
      `${name} does not lie inside the folder that this server may build in (--output-root).`,
    )
  }
  // A build puts folders of such names beside its output for a while.
  if (/[\\/]\./.test(real.slice(outputRoot.length))) {
    throw new UsageError(`${name} is not possible as output; no part of it may begin with a dot.`)
  }
  for (let above = dirname(real); above !== outputRoot; above = dirname(above)) {
    if ((await readRootStamp(above)) === undefined) continue
    throw new RequestRefusal(
      'OUTPUT_IN_USE',
      `${name} lies in a folder that is a pyramid or a series itself; choose one beside it.`,
    )
  }
  return real
}

/** The real path that something has or is going to have. @throws {NotFoundError} a link that leads nowhere. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    const isAbsent = systemCode(error) === 'ENOENT' && !(await isThere(path))
    if (!isAbsent) throw fromSystemError(error, `What ${basename(path)} leads to`)
    return join(await realPathOf(dirname(path)), basename(path))
  }
}

function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

interface JudgedInputs {
  readonly series: readonly string[]
  readonly flags: readonly GivenFlag[]
  readonly hidden: readonly HiddenPath[]
}

/** Replace all that a client wants read by real paths in the roots, so that nothing is left to be matched or followed. */
async function judgeInputs(
  series: readonly string[],
  flags: readonly GivenFlag[],
  roots: readonly string[],
): Promise<JudgedInputs> {
  // In the file system's own root there is nothing to be hidden, and all that follows it would be.
  const hidden: HiddenPath[] = [{ path: process.cwd(), name: '.' }].filter(({ path }) => dirname(path) !== path)
  const judge = async (pattern: string): Promise<string[]> => {
    const found = await locateInRoots(pattern, roots)
    hidden.push(...found)
    return found.map(({ path }) => path)
  }
  const judgeFlag = async ([name, value]: GivenFlag): Promise<GivenFlag[]> => {
    if (value === undefined) return [[name, value]]
    if (name === 'cluster') throw clusterRefusal()
    if (name === 'channel') {
      // One that is no NAME=GLOB is told of by the build, and names nothing.
      const at = value.indexOf('=') + 1
      return at < 2 ? [[name, value]] : (await judge(value.slice(at))).map(path => [name, value.slice(0, at) + path])
    }
    const isFile = FILE_FLAGS.includes(name) && !Number.isFinite(Number(value))
    return [[name, isFile ? await resolveInRoots(value, roots, name) : value]]
  }
  const judgedSeries: string[] = []
  for (const pattern of series) judgedSeries.push(...(await judge(pattern)))
  const judgedFlags: GivenFlag[] = []
  for (const flag of flags) judgedFlags.push(...(await judgeFlag(flag)))
  return { series: judgedSeries, flags: judgedFlags, hidden }
}

/** The series that a path or glob leads to, by their real paths. */
async function locateInRoots(pattern: string, roots: readonly string[]): Promise<HiddenPath[]> {
  if (isClusterUrl(pattern)) throw clusterRefusal()
  // A glob leaves the folder that it begins in by steps up alone, and the server's own home is none of the client's.
  if (pattern.split(/[\\/]/).includes('..') || pattern.startsWith('~/')) {
    throw new UsageError(`${pattern} is not possible here; write the path of a series without .. and ~.`)
  }
  const isAllowed = (path: string): boolean => roots.some(root => isInside(path, root))
  if (!isAllowed(await nearestFolder(resolve(pattern)))) throw outsideRefusal(pattern)
  const { locations } = await locateSeries([pattern]).catch(error => {
    // A glob goes through links, and what it found behind them is not told.
    if (error instanceof NotFoundError && GLOB_CHARACTERS.test(pattern)) {
      throw new NotFoundError(`${pattern} matches no series.`, { url: pattern })
    }
    throw error
  })
  if (!locations.every(({ identity }) => isAllowed(identity))) throw outsideRefusal(pattern)
  for (const file of locations.flatMap(({ files = [] }) => files)) {
    const real = await realpath(file).catch(() => undefined)
    if (real !== undefined && !isAllowed(real)) throw outsideRefusal(pattern)
  }
  return locations.map(({ identity, url }) => ({ path: identity, name: url }))
}

function outsideRefusal(name: string): RequestRefusal {
  return new RequestRefusal('OUTSIDE_ROOTS', `${name} lies outside the folders that this server may open (--root).`)
}

/** Whoever may name servers could have any host asked that this one can reach. */
function clusterRefusal(): RequestRefusal {
  return new RequestRefusal(
    'OUTSIDE_ROOTS',
    'This server opens folders below --root only, so series on a cluster are built on the command line.',
  )
}
