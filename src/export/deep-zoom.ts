import { lastHalving } from '../server/interop/halved-tile.js'
import type { ExportReport, ExportRequest, PictureWishes } from './export-request.js'
import { type ExportObject, ExportTarget } from './export-target.js'
import { tellOtherPlanes } from './images.js'
import { type LayerPicture, layerPictures } from './layer-pictures.js'
import { LocalAnswers } from './local-answers.js'
import { ProgressCounter } from './progress-counter.js'

/** Colours of more channels than the page shows at once are not added up: each gets an image of its own. */
const MOST_TOGETHER = 4

interface DeepZoomImage {
  readonly name: string
  readonly query: URLSearchParams
}

/**
 * Export Deep Zoom Images, tiles where nothing was imaged included, since viewers ask for these as well. The description
 * is written last.
 *
 * @throws {SourceUnavailableError} the target refuses something. @throws as `Pyramid.readTile`.
 */
export async function exportDeepZoom(request: ExportRequest, wishes: PictureWishes): Promise<ExportReport> {
  const { pyramid, folder, names, software, signal } = request
  const { format } = wishes
  const answers = await LocalAnswers.open(pyramid.path, software)
  const content = [pyramid.id, pyramid.version, JSON.stringify(wishes), software].join()
  const target = await ExportTarget.open(folder, `dzi-${names.stem}`, content)
  try {
    const look = { ...(wishes.stretch && { stretch: wishes.stretch }), ...(wishes.lut && { lut: wishes.lut }) }
    const together = pyramid.channels.map((_, channel) => channel).join()
    const images: DeepZoomImage[] =
      pyramid.channels.length <= MOST_TOGETHER
        ? [{ name: names.image('dzi'), query: new URLSearchParams({ format, channel: together, ...look }) }]
        : (await layerPictures(request, wishes)).map(({ title, layers }) => {
            const channel = layers.map(({ selection }) => selection.channel).join()
            const query = { format, channel, ...(layers.length === 1 ? look : levelsOf(layers)) }
            return { name: names.image('dzi', title), query: new URLSearchParams(query) }
          })
    const places = [...tilePlaces(request)]
    const total = images.length * (places.length + 1)
    tellOtherPlanes(request)
    request.onPlan({ files: total })
    const progress = new ProgressCounter(target, total, request)
    const of = `pyramids/${encodeURIComponent(pyramid.id)}`
    for (const image of images) {
      const tiles = places.map((place): ExportObject => {
        const file = `${place}.${format}`
        const url = `${of}_files/${file}?${image.query}&v=${encodeURIComponent(pyramid.version)}`
        return { name: `${image.name.replace(/\.dzi$/, '_files')}/${file}`, make: () => answers.get(url) }
      })
      await target.putAll(tiles, signal, () => progress.count())
    }
    await target.finish()
    for (const { name, query } of images) {
      await target.putSmall(name, await answers.get(`${of}.dzi?${query}`))
      progress.count()
    }
    return { results: images.map(({ name }) => name), ...target.done }
  } finally {
    await target.abandon()
    await answers.close()
  }
}

/** Black and white of a photo, as addresses have them. */
function levelsOf(layers: LayerPicture['layers']): { readonly min: string; readonly max: string } {
  return {
    min: layers.map(({ style }) => style.black).join(),
    max: layers.map(({ style }) => style.white).join(),
  }
}

/** `LEVEL/COLUMN_ROW` of every tile; Deep Zoom counts levels from one pixel on. */
function* tilePlaces({ pyramid }: Pick<ExportRequest, 'pyramid'>): Generator<string> {
  const { size, tileSize } = pyramid.geometry
  const last = lastHalving(size)
  for (let level = 0; level <= last; level++) {
    const along = (length: number): number => Math.ceil(Math.ceil(length / 2 ** (last - level)) / tileSize)
    for (let row = 0; row < along(size.height); row++)
      for (let column = 0; column < along(size.width); column++) yield `${level}/${column}_${row}`
  }
}
