import { builtModule } from '../built-module.js'
import { refuseForPyme, writePymeMetadata, writePymeTiles } from '../pyramid/pyme-pyramid-writer.js'
import { type PymeTile, planPymeTiles } from '../pyramid/pyme-tile-plan.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { runInThread } from '../run-in-thread.js'

/** A thread takes some 50 ms to start: it should have more to do than that. */
const LEAST_TILES_A_THREAD = 200

/** The compiled module, also for callers that run from the sources. */
const THREAD = builtModule('engine/pyme-tile-thread.js')

/** What a thread writes. */
export interface PymeTileTask {
  /** Folders of the pyramid and of what is written. */
  readonly path: string
  readonly folder: string
  readonly tiles: readonly PymeTile[]
  readonly fades: boolean
}

export interface WrittenPymePyramid {
  readonly files: number
  readonly bytes: number
}

/**
 * Write a pyramid in PYME's layout: tiles, then `metadata.json`, without which a folder is no pyramid.
 *
 * @param pyramid, folder, options `fades`: as for `writePymeTiles`. `workers`: most threads that write.
 * @throws {UnsupportedDataError} as `refuseForPyme`. @throws as `writePymeTiles`.
 */
export async function writePymePyramid(
  pyramid: Pyramid,
  folder: string,
  options: { readonly fades: boolean; readonly workers: number; readonly signal?: AbortSignal },
): Promise<WrittenPymePyramid> {
  const { fades, workers, signal } = options
  refuseForPyme(pyramid, pyramid.path)
  const tiles = planPymeTiles(pyramid.coverage({ channel: 0, zPlane: 0, timePoint: 0 }), pyramid.geometry)
  const threads = Math.min(workers, Math.floor(tiles.length / LEAST_TILES_A_THREAD))
  const written =
    threads > 1
      ? await writeInThreads({ path: pyramid.path, folder, fades, tiles }, threads, signal)
      : await writePymeTiles(pyramid, folder, tiles, { fades, signal })
  const bytes = written + (await writePymeMetadata(pyramid, folder, tiles))
  return { files: tiles.length + 1, bytes }
}

/** @returns the bytes that were written, once every thread has ended. */
async function writeInThreads(task: PymeTileTask, threads: number, signal: AbortSignal | undefined): Promise<number> {
  const share = Math.ceil(task.tiles.length / threads)
  const failed = new AbortController()
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  const shares = Array.from({ length: threads }, (_, i) => task.tiles.slice(i * share, (i + 1) * share))
  const outcomes = await Promise.allSettled(
    shares.map(tiles =>
      runInThread<number>(THREAD, { ...task, tiles } satisfies PymeTileTask, stop).catch(error => {
        failed.abort(error)
        throw error
      }),
    ),
  )
  signal?.throwIfAborted()
  if (failed.signal.aborted) throw failed.signal.reason
  return outcomes.reduce((sum, outcome) => sum + (outcome.status === 'fulfilled' ? outcome.value : 0), 0)
}
