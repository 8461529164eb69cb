import { levelSize } from '../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../pyramid/pyramid.js'
import { MAX_EDGE } from '../render/picture.js'
import { drawLayer } from './draw-layer.js'
import type { ExportReport, ExportRequest, PictureWishes } from './export-request.js'
import { ExportTarget } from './export-target.js'
import { layerStyles } from './layer-styles.js'
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
  const content = [pyramid.id, pyramid.version, JSON.stringify(wishes), request.software].join()
  const target = await ExportTarget.open(folder, `images-${names.stem}-${format}`, content)
  try {
    const level = finestLevel(pyramid, MAX_EDGE[format])
    const { width, height } = levelSize(pyramid.geometry, level)
    if (level > 0)
      request.onWarning(
        `A ${format} has up to ${MAX_EDGE[format]} px along an edge: the images are of level ${level}, ${width} × ${height} px.`,
      )
    tellOtherPlanes(request)
    const styles = await layerStyles(pyramid, wishes)
    request.onPlan({ files: styles.length })
    const progress = new ProgressCounter(target, styles.length, request)
    const results = names.titles.map(title => names.image(format, title))
    for (const [channel, style] of styles.entries()) {
      const plane = { channel, zPlane: 0, timePoint: 0 }
      const draw = (path: string): Promise<void> => drawLayer({ pyramid, plane, style, level, format }, path, signal)
      await target.putLarge(results[channel] as string, draw)
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
