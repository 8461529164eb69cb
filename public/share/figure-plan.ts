import type { Size } from '../../src/plane.js'
import { formatNumber } from '../parts/number-format.js'

const FIGURE_FORMATS = ['png', 'tiff'] as const
export type FigureFormat = (typeof FIGURE_FORMATS)[number]

const BACKGROUNDS = ['light', 'dark', 'transparent'] as const
export type Background = (typeof BACKGROUNDS)[number]

/** What a figure may have beside the picture. */
export const FIGURE_PARTS = ['scaleBar', 'legend', 'coordinates', 'name', 'overlay'] as const
export type FigurePart = (typeof FIGURE_PARTS)[number]

export interface FigureWishes {
  readonly format: FigureFormat
  /** On paper. */
  readonly widthMm: number
  readonly dpi: number
  readonly background: Background
  readonly parts: ReadonlySet<FigurePart>
}

/** Where everything of a figure goes, in its px. */
export interface FigurePlan extends Size {
  readonly wishes: FigureWishes
  readonly picture: { readonly top: number } & Size
  /** Of a typographic point. */
  readonly pointPx: number
  /** Words begin so far from the left edge, and end so far from the right one. */
  readonly edgePx: number
  readonly legend: LegendPlan
}

export interface LegendPlan {
  readonly top: number
  readonly columns: number
  readonly columnPx: number
}

export const MM_PER_INCH = 25.4
const POINTS_PER_INCH = 72
const CSS_PX_PER_INCH = 96

const MIN_WIDTH_MM = 5
const MAX_FIGURE_PIXELS = 65_000_000
/** Browsers draw nothing beyond this. */
const MAX_EDGE_PX = 16_384

/** Narrower figures have smaller letters. */
const NARROW_MM = 60
/** Heights in points. */
const NAME_ROW = 15
const CORNER_ROW = 11
const LEGEND_ROW = 31
const LEGEND_GAP = 4
const LEGEND_COLUMN = 110
const MAX_LEGEND_COLUMN = 160
/** Words keep so far from the edges, points. */
const EDGE = 3

/** How wide what is on the screen would be on paper. */
export function screenWidthMm(widthPx: number): number {
  return (widthPx / CSS_PX_PER_INCH) * MM_PER_INCH
}

/** @param view size of what is seen, any unit. @param channels in the legend. */
export function planFigure(wishes: FigureWishes, view: Size, channels: number): FigurePlan {
  const { widthMm, dpi, parts } = wishes
  const width = Math.max(1, Math.round((widthMm / MM_PER_INCH) * dpi))
  const height = Math.max(1, Math.round((width * view.height) / view.width))
  const pointPx = (dpi / POINTS_PER_INCH) * Math.min(1, widthMm / NARROW_MM)
  const px = (points: number): number => Math.round(points * pointPx)
  const corners = parts.has('coordinates') ? px(CORNER_ROW) : 0
  const top = (parts.has('name') ? px(NAME_ROW) : 0) + corners
  const edgePx = px(EDGE)
  const inside = width - 2 * edgePx
  const columns = Math.max(1, Math.min(channels, Math.floor(inside / px(LEGEND_COLUMN))))
  const rows = parts.has('legend') ? Math.ceil(channels / columns) : 0
  const legendTop = top + height + corners + (rows > 0 ? px(LEGEND_GAP) : 0)
  return {
    wishes,
    width,
    height: legendTop + rows * px(LEGEND_ROW),
    picture: { top, width, height },
    pointPx,
    edgePx,
    legend: { top: legendTop, columns, columnPx: Math.min(inside / columns, px(MAX_LEGEND_COLUMN)) },
  }
}

export const legendRowPx = ({ pointPx }: FigurePlan): number => Math.round(LEGEND_ROW * pointPx)

/** Why a figure cannot be made, or undefined. */
export function figureProblem({ wishes, width, height }: FigurePlan): string | undefined {
  const { widthMm } = wishes
  if (!(widthMm >= MIN_WIDTH_MM)) return `A figure is at least ${MIN_WIDTH_MM} mm wide.`
  const isTooLarge = width * height > MAX_FIGURE_PIXELS || Math.max(width, height) > MAX_EDGE_PX
  if (!isTooLarge) return undefined
  const most = `up to ${MAX_FIGURE_PIXELS / 1e6} megapixels and ${formatNumber(MAX_EDGE_PX)} px along an edge`
  return `This figure would be too large: ${most} can be drawn. Choose a smaller width or fewer dpi.`
}

/** Bytes of the file: of a PNG at most. */
export function figureBytes({ wishes, width, height }: FigurePlan): number {
  return width * height * (wishes.background === 'transparent' ? 4 : 3)
}
