import { levelSize } from '../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { MAX_EDGE } from '../render/picture.js'
import { drawLayer } from './draw-layer.js'
import type { ExportReport, ExportRequest, PictureWishes } from './export-request.js'
import { ExportTarget } from './export-target.js'
import { layerPictures } from './layer-pictures.js'
import { ProgressCounter } from './progress-counter.js'

/**
 * Export one picture a layer, of full size, or as large as the format goes: then with a warning.
 *
 * @throws {SourceUnavailableError} the target refuses one, or the disk for temporary files. @throws as
 *   `Pyramid.readTile`.
 */
export async function exportImages(request: ExportRequest, wishes: PictureWishes): Promise<ExportReport> {
  const { pyramid, folder, names, signal } = request
  const { format } = wishes
  const content = [pyramid.id, pyramid.version, JSON.stringify(wishes), names.titles.join(), request.software].join()
  const target = await ExportTarget.open(folder, `images-${names.stem}-${format}`, content)
  try {
    const level = finestLevel(pyramid, MAX_EDGE[format])
    const { width, height } = levelSize(pyramid.geometry, level)
    if (level > 0)
      request.onWarning(
        `A ${format} has up to ${MAX_EDGE[format]} px along an edge: the images are of level ${level}, ${width} × ${height} px.`,
      )
    tellOtherPlanes(request)
    const pictures = await layerPictures(request, wishes)
    request.onPlan({ files: pictures.length })
    const progress = new ProgressCounter(target, pictures.length, request)
    const results: string[] = []
    for (const { title, layers } of pictures) {
      const name = names.image(format, title)
      await target.putLarge(name, path => drawLayer({ pyramid, layers, level, format }, path, signal))
      results.push(name)
      progress.count()
    }
    await target.finish()
    return { results, ...target.done }
  } finally {
    await target.abandon()
  }
}

/** Pictures show one plane of a stack, and say so. */
export function tellOtherPlanes({ pyramid, onWarning }: Pick<ExportRequest, 'pyramid' | 'onWarning'>): void {
  const { zPlanes, timePoints } = pyramid
  if (zPlanes * timePoints > 1) onWarning(`Shown is the first of ${zPlanes} z-planes and of ${timePoints} time points.`)
}

function finestLevel({ geometry }: Pyramid, longest: number): number {
  let level = 0
  for (; ; level++) {
    const { width, height } = levelSize(geometry, level)
    if (Math.max(width, height) <= longest || level === geometry.levelCount - 1) return level
  }
}
