import { availableParallelism } from 'node:os'
import type { BuildSettings } from '../pyramid/build-settings.js'
import { placeFrames } from '../pyramid/placement.js'
import { refuseForPyme } from '../pyramid/pyme-pyramid-writer.js'
import { openTilestagePyramid } from '../pyramid/pyramid-store.js'
import { refuseInsideInput } from './build-output.js'
import { type BuildReport, type BuildRequest, buildPyramid, wantedPyramid } from './build-pyramid.js'
import { preparePymeOutput } from './pyme-output.js'
import { writePymePyramid } from './write-pyme-pyramid.js'

/**
 * Build a pyramid in PYME's layout: stitch it in our own format, in a hidden folder beside the output, then write
 * PYME's files from that, and give them the output's name when they are complete. Where it stops, the same call goes
 * on with the stitching.
 *
 * Under the `pyme` blend the result is what PYME makes of the series, byte by byte.
 *
 * @param request of series that do not grow; `onStarted` is not called, for there is nothing to be seen before the end.
 *   The sample type of the settings does not count.
 * @throws {UnsupportedDataError} the series have several planes. @throws as `buildPyramid`.
 */
export async function buildPymePyramid(request: BuildRequest): Promise<BuildReport> {
  if (request.growing) throw new RangeError('PYME pyramids do not grow')
  const started = performance.now()
  const { sources, overwrite, workers = availableParallelism(), signal } = request
  const wanted = { ...request, settings: exactly(request.settings) }
  await refuseInsideInput(
    request.output,
    sources.map(({ url }) => url),
  )
  refuseForPyme(placeFrames(sources, wanted.settings), request.output)
  const output = await preparePymeOutput(request.output, wantedPyramid(wanted), overwrite)
  if (!('stitched' in output)) {
    const report = { record: output, built: false, skipped: [], files: 0, bytes: 0 }
    await request.onComplete?.(report)
    return report
  }
  try {
    const stitching = { output: output.stitched, overwrite: true, onStarted: undefined, onComplete: undefined }
    const { record, skipped } = await buildPyramid({ ...wanted, ...stitching })
    const pyramid = await openTilestagePyramid(output.stitched)
    try {
      await output.begin(record)
      const { files, bytes } = await writePymePyramid(pyramid, output.tiles, {
        fades: wanted.settings.blend === 'pyme',
        ...{ workers, signal },
      })
      await pyramid.close()
      await output.settle()
      const seconds = (performance.now() - started) / 1000
      const report = { record: { ...record, seconds }, built: true, skipped, files: files + 1, bytes }
      await request.onComplete?.(report)
      return report
    } catch (error) {
      // What went wrong first is what counts.
      await output.discard().catch(() => undefined)
      throw error
    } finally {
      await pyramid.close()
    }
  } finally {
    await output.release()
  }
}

/** PYME computes every level in float64 and rounds to float32 when it writes; other blends are rounded as stored. */
function exactly(settings: BuildSettings): BuildSettings {
  return { ...settings, sampleType: settings.blend === 'pyme' ? 'float64' : 'float32' }
}
