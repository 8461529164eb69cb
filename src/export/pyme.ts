import {
  makePymeTile,
  PYME_METADATA,
  pymeMetadata,
  pymeTileName,
  refuseForPyme,
} from '../pyramid/pyme-pyramid-writer.js'
import { planPymeTiles } from '../pyramid/pyme-tile-plan.js'
import type { ExportReport, ExportRequest } from './export-request.js'
import { type ExportObject, ExportTarget } from './export-target.js'
import { ProgressCounter } from './progress-counter.js'

/**
 * Export a PYME pyramid: float32 counts above dark, 0 where nothing was imaged. What makes it a pyramid is written last.
 *
 * @throws {UnsupportedDataError} more planes than one, or pixels that are no squares.
 * @throws {SourceUnavailableError} the target refuses something. @throws as `Pyramid.readTile`.
 */
export async function exportPyme(request: ExportRequest): Promise<ExportReport> {
  const { pyramid, folder, names, signal } = request
  refuseForPyme(pyramid, pyramid.path)
  const root = names.image('pyme')
  const content = [pyramid.id, pyramid.version].join()
  const target = await ExportTarget.open(folder, `pyme-${names.stem}`, content, root)
  try {
    const tiles = planPymeTiles(pyramid.coverage({ channel: 0, zPlane: 0, timePoint: 0 }), pyramid.geometry)
    const objects = tiles.map(
      (tile): ExportObject => ({
        name: `${root}/${pymeTileName(tile)}`,
        make: () => makePymeTile(pyramid, tile, false),
      }),
    )
    request.onPlan({ files: objects.length + 1 })
    const progress = new ProgressCounter(target, objects.length + 1, request)
    await target.putAll(objects, signal, () => progress.count())
    await target.finish()
    await target.putSmall(`${root}/${PYME_METADATA}`, pymeMetadata(pyramid, tiles))
    progress.count()
    return { results: [root], ...target.done }
  } finally {
    await target.abandon()
  }
}
