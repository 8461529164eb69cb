import type { Notices } from '../frame/notices.js'
import { element } from '../parts/element.js'
import { formatNumber } from '../parts/number-format.js'
import { OverlayCanvas } from '../parts/overlay-canvas.js'
import type { PictureTool, ToolEvent } from '../picture/gestures.js'
import type { Picture } from '../picture/picture.js'
import type { ViewFrame } from '../picture/view-frame.js'
import { isExported } from '../server/exported-page.js'
import type { FrameRow } from '../server/measure-api.js'
import { readValue } from '../server/measure-api.js'
import type { PointUm, Window } from '../server/pyramid-api.js'
import type { Roi, RoiEvent } from '../server/roi-api.js'
import { drawDraft, drawMeasurement } from './draw-measurements.js'
import { drawOutlines, drawStrongOutline } from './draw-outlines.js'
import { drawChosenRoi, drawRois } from './draw-points.js'
import { FramePlacement, isOf, MAX_OUTLINES } from './frame-placement.js'
import { MeasureTool } from './measure-tool.js'
import { measurementAt } from './measurement-handles.js'
import { MeasurementList } from './measurement-list.js'
import { MeasurementsPanel } from './measurements-panel.js'
import { type Context, drawHandle } from './overlay-style.js'
import { POINT_HIT_PX, PointToggle, PointTool } from './point-tool.js'
import { PointsPanel } from './points-panel.js'
import { nameFrames } from './provenance.js'
import { RegionTool } from './region-tool.js'
import { RoiList } from './roi-list.js'
import type { ShownPlanes } from './shown-channels.js'
import { TokenDialog } from './token-dialog.js'
import { Toolbar, type ToolName } from './toolbar.js'
import type { OverlayName, OverlayRow, ToolsState } from './tools-state.js'
import { UndoStack } from './undo-stack.js'

export interface ToolsListener {
  /** Measurements, what is visible, or how much there is of it. */
  changed(): void
  /** A tool is chosen, so the picture is going to be worked on. */
  chosen(): void
  goTo(point: PointUm): void
  /** Windows that suit what a region holds, by channel. */
  contrastFound(windows: ReadonlyMap<number, Window>): void
  /** Frames under a place became known, so the read-out can name them. */
  sourcesFound(): void
}

/** @param frame whose px are those of the context. @param scale of lines and text; 1 as on the page. */
type DrawOverlay = (context: Context, frame: ViewFrame, scale: number) => void

/** How long the pointer rests before the server is asked what is below it. */
const ASK_AFTER_MS = 250

/** Everything that is done on the picture, and drawn over it. */
export class Tools {
  readonly #picture: Picture
  readonly #listener: ToolsListener
  readonly #undo = new UndoStack(() => this.#update())
  readonly #measurements = new MeasurementList(this.#undo, () => this.#update())
  readonly #rois: RoiList
  readonly #placement = new FramePlacement(() => this.#onPlacement())
  readonly #panel: MeasurementsPanel
  readonly #points: PointsPanel
  readonly #toolbar: Toolbar
  readonly #measure: MeasureTool
  readonly #region: RegionTool
  readonly #tools: Readonly<Record<ToolName, PictureTool | undefined>>
  /** Frames and points, of which there may be many; measurements, which follow the pointer. */
  readonly #crowd: OverlayCanvas
  readonly #drawing: OverlayCanvas
  #planes: ShownPlanes | undefined
  #visible: ToolsState['visible'] = { outlines: false, points: true, measurements: true }
  #profilePoint: PointUm | undefined
  #hoveredRoi: Roi | undefined
  #hoveredFrame: FrameRow | undefined
  /** What the server told of a place whose frames are not listed. */
  #asked: { readonly pixel: string; readonly source: string | undefined } | undefined
  #askTimer: number | undefined

  constructor(picture: Picture, notices: Notices, listener: ToolsListener) {
    const byId = (id: string): HTMLElement => element(document, `#${id}`, HTMLElement)
    const tokenDialog = new TokenDialog(element(document, '#token', HTMLDialogElement))
    this.#picture = picture
    this.#listener = listener
    this.#rois = new RoiList(this.#undo, {
      changed: () => this.#update(),
      refused: again =>
        notices.show({
          kind: 'points',
          icon: 'warning',
          text: 'Changing points needs the token printed at start-up.',
          action: { label: 'Enter token', run: () => tokenDialog.open(again) },
          stays: true,
        }),
      failed: message => notices.show({ kind: 'points', icon: 'warning', text: message }),
    })
    this.#crowd = new OverlayCanvas(element(document, '#crowd', HTMLCanvasElement), context => this.#drawCrowd(context))
    this.#drawing = new OverlayCanvas(element(document, '#drawing', HTMLCanvasElement), context =>
      this.#drawMeasurements(context),
    )
    this.#panel = new MeasurementsPanel(byId('measurements'), this.#measurements, this.#undo, {
      renamed: (id, name) => this.#measurements.rename(id, name),
      pointed: point => {
        this.#profilePoint = point
        this.#drawing.update()
      },
      contrastFound: windows => listener.contrastFound(windows),
    })
    this.#points = new PointsPanel(byId('points'), this.#rois, {
      selected: () => this.#crowd.update(),
      goTo: ({ x, y, w = 0, h = 0 }) => listener.goTo({ x: x + w / 2, y: y + h / 2 }),
    })
    const umPerPx = (): number => picture.umPerPx
    this.#measure = new MeasureTool(this.#measurements, this.#toScreen, () => this.#drawing.update())
    this.#region = new RegionTool(this.#measurements, () => this.#drawing.update())
    this.#tools = {
      // Without a mouse a double tap zooms; without a server there are no points.
      pan: matchMedia('(hover: none)').matches || isExported ? undefined : new PointToggle(this.#rois, umPerPx),
      measure: this.#measure,
      region: this.#region,
      point: new PointTool(this.#rois, umPerPx, id => this.#points.select(id)),
    }
    this.#toolbar = new Toolbar(byId('tool-hint'), name => {
      this.#measure.finish()
      this.#region.leave()
      picture.setTool(this.#tools[name])
      if (name !== 'pan') listener.chosen()
    })
    picture.setTool(this.#tools.pan)
    picture.addHandles(event => this.#handleAt(event))
  }

  /** Another pyramid, another version, or other frames in it; undefined where there is none. */
  open(planes: ShownPlanes | undefined): Promise<void> {
    this.#placement.open(planes?.store.pyramid)
    this.#asked = undefined
    this.#hoveredFrame = undefined
    this.show(planes)
    return this.#rois.open(planes?.store.pyramid.id)
  }

  /** Other channels, another slice. */
  show(planes: ShownPlanes | undefined): void {
    this.#planes = planes
    this.#update()
  }

  /** The view moved. */
  draw(): void {
    this.#crowd.draw()
    this.#drawing.draw()
  }

  /** The view rests. */
  async settle(): Promise<void> {
    const view = this.#planes && this.#picture.frame?.visibleRect(this.#planes.store.pyramid)
    if (view) await this.#placement.follow(view)
  }

  /** ROIs were changed by somebody. */
  hear(event: RoiEvent): void {
    this.#rois.hear(event)
  }

  /** The server is back: what was told of ROIs may have been missed, and what is measured not have been read. */
  catchUp(): void {
    this.#panel.readAgain()
    void this.#rois.read()
  }

  addPoint(place: PointUm): void {
    void this.#rois.add([place])
  }

  choose(name: ToolName): void {
    this.#toolbar.choose(name)
  }

  /** Esc: what is drawn ends, and one pans again. @returns whether there was something to leave. */
  leave(): boolean {
    if (this.#toolbar.chosen === 'pan') return false
    this.#toolbar.choose('pan')
    return true
  }

  /** Enter: close the area that is being drawn. @returns whether one was. */
  finish(): boolean {
    if (!this.#measure.isDrawing) return false
    this.#measure.finish()
    return true
  }

  undo(): void {
    this.#undo.undo()
  }

  /** Delete: the selected measurement, or else the chosen point. */
  removeSelected(): void {
    const measurement = this.#measurements.selected
    const roi = this.#points.selected
    if (measurement) this.#measurements.remove(measurement.id)
    else if (roi) this.#rois.remove(roi)
  }

  /** Rows of the Layers panel. */
  get rows(): readonly OverlayRow[] {
    const count = (length: number): string => (length === 0 ? 'none' : formatNumber(length))
    const { used = 0, skipped = 0 } = this.#planes?.store.pyramid.frames ?? {}
    const outlines: OverlayRow = {
      name: 'outlines',
      label: 'Frame outlines',
      visible: this.#visible.outlines,
      value: this.#visible.outlines && this.#areTooMany ? 'zoom in' : count(used + skipped),
    }
    const points: OverlayRow = {
      name: 'points',
      label: 'Points',
      visible: this.#visible.points,
      value: count(this.#rois.rois.length),
    }
    return [
      ...(this.#placement.isRecorded ? [outlines] : []),
      ...(isExported ? [] : [points]),
      {
        name: 'measurements',
        label: 'Measurements',
        visible: this.#visible.measurements,
        value: count(this.#measurements.items.length),
      },
    ]
  }

  setVisible(name: OverlayName, visible: boolean): void {
    this.#visible = { ...this.#visible, [name]: visible }
    this.#update()
  }

  toggleOutlines(): void {
    if (this.#placement.isRecorded) this.setVisible('outlines', !this.#visible.outlines)
  }

  /** For links. */
  get state(): ToolsState {
    const measurements = this.#measurements.items.map(({ kind, points, name }) => ({ kind, points, name }))
    return { measurements, visible: this.#visible }
  }

  restore({ measurements, visible }: ToolsState): void {
    this.#visible = visible
    this.#measurements.restore(measurements)
  }

  /** Draws on another canvas what is visible of frames, points and measurements now, whatever is changed later. */
  overlay(): DrawOverlay {
    const { pyramid } = this.#planes?.store ?? {}
    const { rois, centres } = this.#rois
    const { items } = this.#measurements
    const visible = this.#visible
    const outlined = visible.outlines && !this.#areTooMany ? this.#outlined : []
    const warn = getComputedStyle(document.documentElement).getPropertyValue('--warn')
    return (context, frame, scale) => {
      if (pyramid) drawOutlines(context, frame, pyramid, outlined, scale, warn)
      if (visible.points) drawRois(context, frame, { rois, centres }, scale)
      if (!visible.measurements) return
      for (const measurement of items) drawMeasurement(context, frame, measurement, scale)
    }
  }

  /**
   * Which frames are seen at a place, as words; undefined where that is not known, or not yet.
   *
   * @param pixel of level 0.
   */
  sourceAt(pixel: PointUm | undefined): string | undefined {
    clearTimeout(this.#askTimer)
    const planes = this.#planes
    const channels = planes?.channels.map(({ channel }) => channel) ?? []
    const frames = pixel && planes && this.#placement.framesAt(pixel, planes.slice, channels)
    this.#hoverFrame(frames?.at(-1))
    if (frames) return frames.length > 0 ? nameFrames(frames) : undefined
    if (!pixel || !planes || !this.#placement.isCrowded) return undefined
    const key = `${Math.floor(pixel.x)},${Math.floor(pixel.y)}`
    if (this.#asked?.pixel === key) return this.#asked.source
    this.#askTimer = setTimeout(() => void this.#ask(planes, pixel, key), ASK_AFTER_MS)
    return undefined
  }

  async #ask({ store, slice, channels }: ShownPlanes, pixel: PointUm, key: string): Promise<void> {
    const reply = await readValue(store.pyramid, slice, pixel).catch(() => undefined)
    const shown = reply?.channels.filter(({ channel }) => channels.some(facts => facts.channel === channel))
    const frames = shown?.flatMap(channel => channel.frames ?? []) ?? []
    this.#asked = { pixel: key, source: frames.length > 0 ? nameFrames(frames) : undefined }
    this.#listener.sourcesFound()
  }

  readonly #toScreen = (point: PointUm) => this.#picture.frame?.toScreen(point)

  #handleAt(event: ToolEvent): PictureTool | undefined {
    this.#hoverRoi(event)
    if (!this.#visible.measurements || this.#measure.isDrawing) return this.#roiAt(event)
    return measurementAt(this.#measurements, this.#toScreen, event) ?? this.#roiAt(event)
  }

  #hoverRoi({ stage }: ToolEvent): void {
    const radiusUm = POINT_HIT_PX * this.#picture.umPerPx
    const hovered = this.#visible.points ? this.#rois.nearest(stage, radiusUm) : undefined
    if (hovered === this.#hoveredRoi) return
    this.#hoveredRoi = hovered
    this.#crowd.update()
  }

  /** While one pans, a click on a point chooses it. */
  #roiAt(event: ToolEvent): PictureTool | undefined {
    const roi = this.#hoveredRoi
    if (!roi || this.#toolbar.chosen !== 'pan') return undefined
    const toggle = this.#tools.pan
    return {
      cursor: 'pointer',
      click: () => this.#points.select(roi.id),
      ...(toggle?.doubleClick && { doubleClick: () => toggle.doubleClick?.(event) }),
    }
  }

  #hoverFrame(frame: FrameRow | undefined): void {
    if (frame === this.#hoveredFrame) return
    this.#hoveredFrame = frame
    if (this.#visible.outlines) this.#crowd.update()
  }

  #drawCrowd(context: CanvasRenderingContext2D): void {
    const { frame } = this.#picture
    const { pyramid } = this.#planes?.store ?? {}
    if (!frame || !pyramid) return
    if (this.#visible.outlines && !this.#areTooMany) {
      const warn = getComputedStyle(document.documentElement).getPropertyValue('--warn')
      drawOutlines(context, frame, pyramid, this.#outlined, 1, warn)
      if (this.#hoveredFrame) drawStrongOutline(context, frame, pyramid, this.#hoveredFrame)
    }
    if (!this.#visible.points) return
    drawRois(context, frame, this.#rois, 1)
    for (const roi of new Set([this.#points.selected, this.#hoveredRoi])) {
      if (roi && this.#rois.rois.includes(roi)) drawChosenRoi(context, frame, roi)
    }
  }

  #drawMeasurements(context: CanvasRenderingContext2D): void {
    const { frame } = this.#picture
    if (!frame || !this.#planes) return
    const { selected } = this.#measurements
    if (this.#visible.measurements) {
      for (const item of this.#measurements.items) {
        drawMeasurement(context, frame, item, 1, item === selected ? 'selected' : 'handles')
      }
    }
    if (this.#measure.draft.length > 0) drawDraft(context, frame, this.#measure.draft, false)
    if (this.#region.draft.length > 0) drawDraft(context, frame, this.#region.draft, true)
    if (this.#profilePoint) drawHandle(context, frame.toScreen(this.#profilePoint), 1, true)
  }

  /** Frames of what is looked at, in and around the view. */
  get #outlined(): readonly FrameRow[] {
    const { slice, channels } = this.#planes ?? {}
    const shown = channels?.map(({ channel }) => channel) ?? []
    return (slice && this.#placement.frames?.filter(frame => isOf(frame, slice, shown))) ?? []
  }

  get #areTooMany(): boolean {
    return this.#placement.isCrowded || this.#outlined.length > MAX_OUTLINES
  }

  #onPlacement(): void {
    this.#update()
    this.#listener.sourcesFound()
  }

  #update(): void {
    const { pyramid } = this.#planes?.store ?? {}
    this.#panel.show(this.#planes)
    if (pyramid) this.#points.show(pyramid.id)
    this.#crowd.update()
    this.#drawing.update()
    this.#listener.changed()
  }
}
