import { COLOUR_STEPS, coloursOf } from '../../src/render/colour-maps.js'
import { brightness, colourStep } from '../contrast/contrast.js'
import { barLabel, roundLength } from '../frame/scale-bar.js'
import { formatCoordinate, formatNumber, formatSample, sampleUnit, THIN_SPACE } from '../parts/number-format.js'
import type { ShownChannel } from '../picture/look.js'
import { ViewFrame } from '../picture/view-frame.js'
import type { ChannelInfo, PointUm } from '../server/pyramid-api.js'
import { drawRegion, type Seen } from './draw-region.js'
import { type Background, type FigurePlan, legendRowPx } from './figure-plan.js'

/** What a figure shows. */
export interface FigureContent extends Seen {
  readonly frame: ViewFrame
  readonly integer: boolean
  /** Of the pyramid. */
  readonly name: string
  /** Well, z-plane and time point, as far as there are several. */
  readonly place: string
  readonly channels: readonly ChannelInfo[]
  /** Draws measurements, points and outlines that are visible. @param scale px of the figure to a px of the screen. */
  drawOverlay(context: CanvasRenderingContext2D, frame: ViewFrame, scale: number): void
}

interface Palette {
  readonly paper: string
  /** Where nothing was imaged: not as dark as a dark sample. */
  readonly uncovered: string
  readonly ink: string
  readonly soft: string
}

const PALETTES: Readonly<Record<Background, Palette>> = {
  light: { paper: '#ffffff', uncovered: '#cdd1d6', ink: '#1d2126', soft: '#535b65' },
  dark: { paper: '#131518', uncovered: '#1c1e21', ink: '#d3d6da', soft: '#9ba2ab' },
  transparent: { paper: 'transparent', uncovered: 'transparent', ink: '#1d2126', soft: '#535b65' },
}
const CHIP = 'rgb(12 13 15 / 78%)'
const FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'

/** Sizes in points. */
const NAME_TEXT = 9
const TEXT = 7
const BAR_TEXT = 8
const BAR_LINE = 1.2
/** The scale bar takes up to this share of the width. */
const BAR_SHARE = 0.25
/** Letters of the overlay are as on the screen where this many points are a screen px. */
const OVERLAY_POINTS = 0.55

/** @throws as `drawRegion`. @returns the finished figure. */
export async function drawFigure(
  plan: FigurePlan,
  content: FigureContent,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<HTMLCanvasElement> {
  const { picture, wishes, pointPx } = plan
  const canvas = document.createElement('canvas')
  canvas.width = plan.width
  canvas.height = plan.height
  const context = canvas.getContext('2d')
  if (!context) throw new Error('This browser cannot draw a picture of that size.')
  const palette = PALETTES[wishes.background]
  fill(context, palette.paper, 0, plan.height, plan.width)
  fill(context, palette.uncovered, picture.top, picture.height, plan.width)
  const frame = frameOfFigure(plan, content.frame)
  await drawRegion(context, content, frame, picture.top, signal, onProgress)
  context.save()
  context.translate(0, picture.top)
  context.beginPath()
  context.rect(0, 0, picture.width, picture.height)
  context.clip()
  if (wishes.parts.has('overlay')) content.drawOverlay(context, frame, pointPx * OVERLAY_POINTS)
  if (wishes.parts.has('scaleBar')) drawScaleBar(context, plan, frame.umPerPx)
  context.restore()
  if (wishes.parts.has('name')) drawName(context, plan, content, palette)
  if (wishes.parts.has('coordinates')) drawCorners(context, plan, frame, palette)
  if (wishes.parts.has('legend')) drawLegend(context, plan, content, palette)
  return canvas
}

/** The same view on as many px as the figure's picture has. */
function frameOfFigure({ picture }: FigurePlan, frame: ViewFrame): ViewFrame {
  const umPerPx = (frame.umPerPx * frame.width) / picture.width
  const { centerUm, rotation, yUp } = frame
  return new ViewFrame({ centerUm, umPerPx, rotation, yUp }, picture.width, picture.height)
}

function fill(context: CanvasRenderingContext2D, colour: string, top: number, height: number, width: number): void {
  context.fillStyle = colour
  context.fillRect(0, top, width, height)
}

function setFont(context: CanvasRenderingContext2D, { pointPx }: FigurePlan, points: number, weight = 400): void {
  context.font = `${weight} ${points * pointPx}px ${FAMILY}`
}

function drawName(context: CanvasRenderingContext2D, plan: FigurePlan, content: FigureContent, palette: Palette): void {
  const { pointPx, edgePx, width } = plan
  const baseline = 9.5 * pointPx
  setFont(context, plan, TEXT)
  const placePx = content.place ? context.measureText(content.place).width + 8 * pointPx : 0
  context.textBaseline = 'alphabetic'
  context.fillStyle = palette.soft
  write(context, content.place, width - edgePx, baseline, 'right')
  context.fillStyle = palette.ink
  setFont(context, plan, NAME_TEXT, 600)
  write(context, shortened(context, content.name, width - 2 * edgePx - placePx), edgePx, baseline, 'left')
}

/** Stage positions beside the corners of the picture; of two that would meet, only the left upper and right lower one. */
function drawCorners(context: CanvasRenderingContext2D, plan: FigurePlan, frame: ViewFrame, palette: Palette): void {
  const { picture, pointPx, edgePx, width } = plan
  const right = width - edgePx
  setFont(context, plan, TEXT)
  context.fillStyle = palette.soft
  context.textBaseline = 'alphabetic'
  const texts = frame.corners.map(corner => cornerText(corner, frame.umPerPx))
  const widths = texts.map(text => context.measureText(text).width)
  const [upperLeft = '', upperRight = '', lowerRight = '', lowerLeft = ''] = texts
  const above = picture.top - 3 * pointPx
  const below = picture.top + picture.height + 8 * pointPx
  write(context, upperLeft, edgePx, above, 'left')
  write(context, lowerRight, right, below, 'right')
  if (2 * Math.max(...widths) + 8 * pointPx > width) return
  write(context, upperRight, right, above, 'right')
  write(context, lowerLeft, edgePx, below, 'left')
}

function cornerText({ x, y }: PointUm, umPerPx: number): string {
  const unit = `${THIN_SPACE}µm`
  return `${formatCoordinate(x, umPerPx).slice(0, -unit.length)}, ${formatCoordinate(y, umPerPx)}`
}

function drawScaleBar(context: CanvasRenderingContext2D, plan: FigurePlan, umPerPx: number): void {
  const { picture, pointPx } = plan
  const um = roundLength(picture.width * BAR_SHARE * umPerPx)
  const barPx = um / umPerPx
  const label = barLabel(um)
  setFont(context, plan, BAR_TEXT)
  const chip = {
    width: Math.max(barPx, context.measureText(label).width) + 12 * pointPx,
    height: 21 * pointPx,
    left: 6 * pointPx,
  }
  const top = picture.height - chip.height - chip.left
  context.fillStyle = CHIP
  context.beginPath()
  context.roundRect(chip.left, top, chip.width, chip.height, 3 * pointPx)
  context.fill()
  context.fillStyle = '#fff'
  context.textBaseline = 'alphabetic'
  write(context, label, chip.left + chip.width / 2, top + 9.5 * pointPx, 'center')
  const line = Math.max(1, Math.round(BAR_LINE * pointPx))
  const left = Math.round(chip.left + (chip.width - barPx) / 2)
  const bottom = Math.round(top + chip.height - 4.5 * pointPx)
  const tick = Math.round(4 * pointPx)
  // The bar is as long as its ends are apart, from outside to outside.
  context.fillRect(left, bottom - line, Math.round(barPx), line)
  context.fillRect(left, bottom - tick, line, tick)
  context.fillRect(left + Math.round(barPx) - line, bottom - tick, line, tick)
}

function drawLegend(
  context: CanvasRenderingContext2D,
  plan: FigurePlan,
  content: FigureContent,
  palette: Palette,
): void {
  const { legend, pointPx } = plan
  content.look.channels.forEach((shown, i) => {
    const left = plan.edgePx + (i % legend.columns) * legend.columnPx
    const top = legend.top + Math.floor(i / legend.columns) * legendRowPx(plan)
    const width = legend.columnPx - (legend.columns > 1 ? 10 * pointPx : 0)
    drawLegendEntry(context, plan, content, palette, shown, { left, top, width })
  })
}

/** A channel: its name and how brightness grows, its colours from black to white, and the counts at both ends. */
function drawLegendEntry(
  context: CanvasRenderingContext2D,
  plan: FigurePlan,
  { channels, integer }: FigureContent,
  palette: Palette,
  { channel, contrast, ofWells }: ShownChannel,
  { left, top, width }: { readonly left: number; readonly top: number; readonly width: number },
): void {
  const { pointPx } = plan
  const manner = [
    contrast.stretch === 'linear' ? '' : contrast.stretch,
    contrast.gamma === 1 ? '' : `γ${THIN_SPACE}${formatNumber(contrast.gamma, 2)}`,
    contrast.inverted ? 'inverted' : '',
    ofWells && ofWells.size > 0 ? 'some wells have their own' : '',
  ].filter(Boolean)
  context.textBaseline = 'alphabetic'
  setFont(context, plan, TEXT)
  const mannerText = manner.join(' · ')
  const mannerPx = context.measureText(mannerText).width
  context.fillStyle = palette.soft
  write(context, mannerText, left + width, top + 7 * pointPx, 'right')
  write(context, formatSample(contrast.black, integer), left, top + 26 * pointPx, 'left')
  const white = `${formatSample(contrast.white, integer)}${sampleUnit(channels[channel]?.unit, integer)}`
  write(context, white, left + width, top + 26 * pointPx, 'right')
  setFont(context, plan, TEXT, 600)
  context.fillStyle = palette.ink
  const name = shortened(context, channels[channel]?.name ?? '', width - mannerPx - 4 * pointPx)
  write(context, name, left, top + 7 * pointPx, 'left')

  const strip = document.createElement('canvas')
  strip.width = COLOUR_STEPS
  strip.height = 1
  const image = new ImageData(COLOUR_STEPS, 1)
  const colours = coloursOf(contrast.colours)
  for (let i = 0; i < COLOUR_STEPS; i++) {
    const value = contrast.black + (i / (COLOUR_STEPS - 1)) * (contrast.white - contrast.black)
    const step = 4 * colourStep(brightness(value, contrast), contrast.inverted)
    image.data.set(colours.subarray(step, step + 4), 4 * i)
  }
  strip.getContext('2d')?.putImageData(image, 0, 0)
  context.imageSmoothingEnabled = false
  context.drawImage(strip, left, top + 10 * pointPx, width, 8 * pointPx)
  // A hairline, so that the end that is as the paper is seen to end.
  const line = Math.max(1, Math.round(0.5 * pointPx))
  context.strokeStyle = palette.soft
  context.lineWidth = line
  context.strokeRect(left + line / 2, top + 10 * pointPx + line / 2, width - line, 8 * pointPx - line)
}

function write(context: CanvasRenderingContext2D, text: string, x: number, y: number, align: CanvasTextAlign): void {
  context.textAlign = align
  context.fillText(text, x, y)
}

/** A text with an ellipsis where it is too wide. */
function shortened(context: CanvasRenderingContext2D, text: string, widthPx: number): string {
  if (context.measureText(text).width <= widthPx) return text
  let end = text.length
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > widthPx) end--
  return `${text.slice(0, end)}…`
}
