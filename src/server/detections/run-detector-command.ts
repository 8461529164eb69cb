import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromSystemError, TilestageError } from '../../errors.js'
import { readFileHead } from '../../sources/read-file.js'
import { type HiddenPath, hidePaths } from '../http/error-replies.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { formatOfName, type RoiFileFormat, readRoiFile } from '../rois/read-roi-file.js'
import type { RoiShape } from '../rois/roi.js'
import type { DetectorCommand } from './detector-command.js'

/** A program that has found nothing by then hangs. */
const TIME_LIMIT_MS = 30 * 60_000

/** Between the request to end and the end. */
const GRACE_MS = 2000

/** Of what the program said last, this much is told. */
const MAX_TAIL_BYTES = 2000

/** Table of the program, beside which it may put an extension of its own. */
const OUTPUT = 'roi_locations'
const EXTENSIONS = ['', '.csv', '.hdf', '.h5']

const HDF5_SIGNATURE = '\x89HDF\r\n\x1a\n'

/** What the placeholders of a command stand for. */
export interface DetectorInput {
  /** Real path. */
  readonly pyramid: string
  readonly level: number
  /** Real path of a file that a client named; only ever an argument. */
  readonly recipe: string | undefined
}

/**
 * Run a configured detector and read the table that it writes: CSV or HDF5 with columns x_um and y_um.
 *
 * @param hidden paths that are not told to strangers. @param signal ends the program and everything that it started.
 * @throws {RequestRefusal} DETECTOR_FAILED: it cannot be started, fails, takes too long, or leaves no table; the
 *   message has the end of what it said. @throws the signal's reason.
 */
export async function runDetectorCommand(
  { name, words }: DetectorCommand,
  input: DetectorInput,
  hidden: readonly HiddenPath[],
  signal: AbortSignal,
): Promise<RoiShape[]> {
  const folder = await makeOutputFolder()
  const output = join(folder, OUTPUT)
  const values: Record<string, string> = {
    pyramid: input.pyramid,
    level: String(input.level),
    recipe: input.recipe ?? '',
    output,
  }
  // Words were parted before, so what stands for a placeholder is one word, whatever is in it.
  const filled = words.map(word => word.replace(/\{(pyramid|level|recipe|output)\}/g, (_, key: string) => values[key]))
  const unsaid = [...hidden, { path: folder, name: '…' }, { path: homePath(), name: '~' }]
  try {
    const failure = await runToEnd(filled, signal)
    if (failure !== undefined) throw failed(name, failure)
    return await readOutput(name, folder)
  } catch (error) {
    if (!(error instanceof TilestageError || error instanceof RequestRefusal)) throw error
    throw new RequestRefusal('DETECTOR_FAILED', hidePaths(error.message, unsaid))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function makeOutputFolder(): Promise<string> {
  const prefix = join(tmpdir(), 'tilestage-detection-')
  try {
    return await mkdtemp(prefix)
  } catch (error) {
    throw fromSystemError(error, prefix)
  }
}

/** @returns why it failed; undefined where it did not. */
async function runToEnd([program, ...args]: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted()
  const { TILESTAGE_TOKEN: _, ...env } = process.env
  // A group of its own: what the program starts ends with it.
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env, detached: true, windowsHide: true })
  let tail = ''
  child.stderr.on('data', (bytes: Buffer) => {
    tail = (tail + bytes.toString()).slice(-MAX_TAIL_BYTES)
  })
  let isLate = false
  const stop = (): void => endGroup(child)
  // What it started and left behind ends with it, and holds nobody up.
  child.once('exit', stop)
  const limit = setTimeout(() => {
    isLate = true
    stop()
  }, TIME_LIMIT_MS)
  signal.addEventListener('abort', stop)
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null]
    signal.throwIfAborted()
    if (isLate) return `took longer than ${TIME_LIMIT_MS / 60_000} minutes${said(tail)}`
    if (code !== 0) return `ended with ${code === null ? killedBy : `status ${code}`}${said(tail)}`
    return undefined
  } catch (error) {
    if (signal.aborted) throw signal.reason
    return `cannot be started: ${fromSystemError(error, program).message.replace(/\.$/, '')}`
  } finally {
    clearTimeout(limit)
    signal.removeEventListener('abort', stop)
  }
}

function endGroup(child: ChildProcess): void {
  const tell = (name: NodeJS.Signals): void => {
    try {
      // Windows knows no groups.
      if (process.platform === 'win32' || child.pid === undefined) child.kill(name)
      else process.kill(-child.pid, name)
    } catch {
      // It has ended.
    }
  }
  tell('SIGTERM')
  const force = setTimeout(() => {
    tell('SIGKILL')
    // Whoever left the group may hold this end open for ever.
    child.stderr?.destroy()
  }, GRACE_MS)
  child.once('close', () => clearTimeout(force))
}

async function readOutput(name: string, folder: string): Promise<RoiShape[]> {
  const names = await readdir(folder)
  const file = EXTENSIONS.map(extension => OUTPUT + extension).find(candidate => names.includes(candidate))
  if (file === undefined) {
    throw failed(name, `left no table at {output}, {output}${EXTENSIONS.slice(1).join(', {output}')}`)
  }
  const path = join(folder, file)
  return readRoiFile(path, file === OUTPUT ? formatOfContent(path) : formatOfName(path))
}

function formatOfContent(path: string): RoiFileFormat {
  const head = readFileHead(path, HDF5_SIGNATURE.length)
  return Buffer.from(head).toString('latin1') === HDF5_SIGNATURE ? 'hdf5' : 'csv'
}

function failed(name: string, how: string): RequestRefusal {
  return new RequestRefusal('DETECTOR_FAILED', `The detector ${name} ${how}.`)
}

/** The last lines as a part of a sentence. */
function said(tail: string): string {
  const lines = tail
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '')
  return lines.length === 0 ? '' : `: ${lines.slice(-8).join(' | ').replace(/\.$/, '')}`
}

function homePath(): string {
  try {
    return homedir()
  } catch {
    return '~'
  }
}
