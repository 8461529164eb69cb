import type { OverlayOptions } from 'sharp'
import type { Size } from '../plane.js'
import { levelForSize } from '../pyramid/read-scaled.js'
import { drawPicture } from '../render/draw-picture.js'
import { loadSharp } from '../render/load-sharp.js'
import { escapeXml } from '../render/ome-xml.js'
import { stepStyleOf } from '../render/steps.js'
import { shownText, writeText } from '../render/write-text.js'
import { readLayers } from '../server/crops/read-picture.js'
import type { ExportReport, ExportRequest, PictureWishes } from './export-request.js'
import { ExportTarget } from './export-target.js'
import { tellOtherPlanes } from './images.js'
import { layerPictures } from './layer-pictures.js'
import { ProgressCounter } from './progress-counter.js'

export interface FigureWishes extends Omit<PictureWishes, 'format'> {
  readonly format: 'png' | 'svg'
  readonly heading: string
}

/** About the width of a figure, px, and the longest and least edge of a panel. */
const FIGURE_WIDTH = 2400
const LONGEST_EDGE = 1200
const LEAST_WIDTH = 160

/** The figure is about this much wider than high. */
const ASPECT = 4 / 3

const GAP = 24
const HEADING_PX = 44
const TITLE_PX = 28
/** Height of a line of text, in letters. */
const LINE = 1.75

const GROUND = 'ffffff'
const INK = '1c1e21'

interface Panel {
  readonly title: string
  readonly png: Uint8Array
  readonly left: number
  readonly top: number
}

interface Figure extends Size {
  readonly heading: string
  readonly panel: Size
  readonly panels: readonly Panel[]
}

/**
 * Export a figure: each layer with its title, in a grid below a heading.
 *
 * @throws {SourceUnavailableError} the target refuses it. @throws as `Pyramid.readTile`.
 */
export async function exportFigure(request: ExportRequest, wishes: FigureWishes): Promise<ExportReport> {
  const { pyramid, folder, names } = request
  const name = names.image(wishes.format)
  const content = [pyramid.id, pyramid.version, JSON.stringify(wishes), names.titles.join(), request.software].join()
  const target = await ExportTarget.open(folder, `figure-${names.stem}-${wishes.format}`, content)
  try {
    tellOtherPlanes(request)
    request.onPlan({ files: 1 })
    const progress = new ProgressCounter(target, 1, request)
    await target.put({
      name,
      make: async () => {
        const figure = await drawPanels(request, wishes)
        return wishes.format === 'svg' ? Buffer.from(asSvg(figure)) : asPng(figure)
      },
    })
    progress.count()
    await target.finish()
    return { results: [name], ...target.done }
  } finally {
    await target.abandon()
  }
}

/** The size of a panel and the number of columns, for so many panels of the mosaic's aspect. */
export function figureGrid(count: number, { width, height }: Size): { readonly columns: number; readonly panel: Size } {
  const columns = Math.min(count, Math.max(1, Math.round(Math.sqrt((count * ASPECT * height) / width))))
  const room = Math.max(LEAST_WIDTH, FIGURE_WIDTH / columns - GAP)
  const scale = Math.min(room / width, LONGEST_EDGE / width, LONGEST_EDGE / height)
  const along = (length: number): number => Math.max(1, Math.round(length * scale))
  return { columns, panel: { width: along(width), height: along(height) } }
}

async function drawPanels(request: ExportRequest, wishes: FigureWishes): Promise<Figure> {
  const { pyramid, signal } = request
  const { geometry } = pyramid
  const { size } = geometry
  // In micrometres, pixels need not be square.
  const shape = { width: size.width * geometry.pixelSizeUm.x, height: size.height * geometry.pixelSizeUm.y }
  const pictures = await layerPictures(request, wishes)
  const { columns, panel } = figureGrid(pictures.length, shape)
  const rect = { x0: 0, y0: 0, x1: size.width, y1: size.height }
  const plan = { rect, size: panel, level: levelForSize(geometry, rect, panel) }
  const top = GAP + Math.round(HEADING_PX * LINE)
  const titleHeight = Math.round(TITLE_PX * LINE)
  const panels: Panel[] = []
  for (const [i, { title, layers }] of pictures.entries()) {
    const read = await readLayers(pyramid, layers, plan, signal)
    const drawn = read.map(layer => ({ ...layer, style: stepStyleOf(layer.style) }))
    panels.push({
      title,
      png: await drawPicture({ ...panel, layers: drawn, format: 'png' }),
      left: GAP + (i % columns) * (panel.width + GAP),
      top: top + Math.floor(i / columns) * (titleHeight + panel.height + GAP) + titleHeight,
    })
  }
  const rows = Math.ceil(panels.length / columns)
  return {
    heading: wishes.heading,
    panel,
    panels,
    width: GAP + columns * (panel.width + GAP),
    height: top + rows * (titleHeight + panel.height + GAP),
  }
}

async function asPng({ width, height, heading, panel, panels }: Figure): Promise<Buffer> {
  const parts: OverlayOptions[] = []
  const write = async (text: string, fontPx: number, left: number, bottom: number, wide: number): Promise<void> => {
    const line = Math.round(fontPx * LINE)
    const { pixels, ...size } = await writeText(text, fontPx, INK, wide)
    const top = bottom - line + Math.round((line - size.height) / 2)
    if (size.width > 0) parts.push({ input: pixels, raw: { ...size, channels: 4 }, left, top })
  }
  await write(heading, HEADING_PX, GAP, GAP + Math.round(HEADING_PX * LINE), width - 2 * GAP)
  for (const { title, png, left, top } of panels) {
    parts.push({ input: Buffer.from(png), left, top })
    await write(title, TITLE_PX, left, top, panel.width)
  }
  const sharp = await loadSharp()
  return sharp({ create: { width, height, channels: 3, background: `#${GROUND}` } })
    .composite(parts)
    .png()
    .toBuffer()
}

function asSvg({ width, height, heading, panel, panels }: Figure): string {
  const text = (line: string, fontPx: number, x: number, bottom: number): string =>
    `<text x="${x}" y="${bottom - Math.round(fontPx * 0.55)}" font-size="${fontPx}">${escapeXml(shownText(line))}</text>`
  const images = panels.map(
    ({ title, png, left, top }) =>
      `${text(title, TITLE_PX, left, top)}<image x="${left}" y="${top}" width="${panel.width}" height="${panel.height}"` +
      ` href="data:image/png;base64,${Buffer.from(png).toString('base64')}"/>`,
  )
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"` +
      ` font-family="Inter, Helvetica, Arial, sans-serif" font-weight="500" fill="#${INK}">`,
    `<title>${escapeXml(shownText(heading))}</title>`,
    `<rect width="100%" height="100%" fill="#${GROUND}"/>`,
    text(heading, HEADING_PX, GAP, GAP + Math.round(HEADING_PX * LINE)),
    ...images,
    '</svg>\n',
  ].join('\n')
}
