import { type Rect, SAMPLE_TYPES } from '../src/plane.js'
import { ContrastControl } from './contrast/contrast-control.js'
import { BuildNotice } from './frame/build-notice.js'
import { Connection } from './frame/connection.js'
import { type KeyCommand, listenToKeys } from './frame/keys.js'
import { keysDialog } from './frame/keys-dialog.js'
import { Notices } from './frame/notices.js'
import { OverviewMap } from './frame/overview-map.js'
import { PlaneSliders } from './frame/plane-sliders.js'
import { PyramidChooser } from './frame/pyramid-chooser.js'
import { Readiness } from './frame/readiness.js'
import { ScaleBar } from './frame/scale-bar.js'
import { StatusBar } from './frame/status-bar.js'
import { applyTheme, themeColours } from './frame/theme.js'
import { TileFailures } from './frame/tile-failures.js'
import { Workspace } from './frame/workspace.js'
import { element } from './parts/element.js'
import { mergeCalls } from './parts/merge-calls.js'
import { formatArea, formatNumber, formatPixelSize, THIN_SPACE } from './parts/number-format.js'
import { Picture } from './picture/picture.js'
import { coveredRect, hasSameTiles, mapFromPixel, rectAt } from './picture/stage-geometry.js'
import { centralWell, firstLook, hasPlane, staysInPlace, wellInView } from './picture/view-choices.js'
import { PlatePanel } from './plate/plate-panel.js'
import { WellLabels } from './plate/well-labels.js'
import { EventFeed } from './server/event-feed.js'
import {
  keepToken,
  listPyramids,
  type PlaneSelection,
  type PointUm,
  type PyramidInfo,
  type RefusedSwap,
  type Well,
} from './server/pyramid-api.js'
import { PyramidSession } from './server/pyramid-session.js'
import type { TileStore } from './tiles/tile-store.js'
import { sampleAt, samplesInView } from './tiles/view-samples.js'

const PAN_PX = 80
const ZOOM_STEP = 1.5
const COPIED_SHOWN_MS = 2000
const LOADING_SHOWN_AFTER_MS = 400
/** How long the view rests before what is in it is counted. */
const COUNT_VIEW_AFTER_MS = 120
/** While a pyramid grows, what follows it is brought up to date no more often than this. */
const UPDATE_PICTURE_EVERY_MS = 250
const UPDATE_PANELS_EVERY_MS = 1000
const UPDATE_CONTRAST_EVERY_MS = 2000

const FIRST_PLANE: PlaneSelection = { channel: 0, zPlane: 0, timePoint: 0 }

const byId = (id: string): HTMLElement => element(document, `#${id}`, HTMLElement)
const buttonById = (id: string): HTMLButtonElement => element(document, `#${id}`, HTMLButtonElement)

keepToken()
applyTheme()

const readiness = new Readiness()
const workspace = new Workspace(heightPx => picture.hideBottom(heightPx))
const notices = new Notices(byId('notice'))
const statusBar = new StatusBar(byId('status'))
const scaleBar = new ScaleBar(byId('scale-bar'))
const labels = new WellLabels(element(document, '#labels', HTMLCanvasElement))
const pictureElement = byId('picture')

let store: TileStore | undefined
let plane = FIRST_PLANE
let wantedPlane = FIRST_PLANE
let pointer: PointUm | undefined
let countedView = ''
/** Changes of the tiles of growing pyramids. */
let growths = 0
let growthsDrawn = 0
let loadingSince: number | undefined
let lastRefusal = ''

const picture = new Picture(pictureElement, insets, {
  drawn: showView,
  settled: onSettled,
  moving: () => store && readiness.unsettle(),
  loading: showLoading,
  pointed: pixel => {
    pointer = pixel
    showReadout()
  },
})
const contrast = new ContrastControl(byId('contrast'), visibleSamples, {
  changed: look => {
    readiness.unsettle()
    picture.setLook(look)
    plate.setLook(look)
    overview.setLook(look)
  },
  channelChosen: channel => selectPlane({ ...plane, channel }),
})
const plate = new PlatePanel(byId('plate'), goToWell)
const sliders = new PlaneSliders(byId('planes'), change => selectPlane({ ...plane, ...change }))
const overview = new OverviewMap(byId('overview'), pixel => {
  if (store) picture.centerOn(mapFromPixel(store.pyramid, pixel.x, pixel.y))
})
const failures = new TileFailures(notices, retryTiles)
const buildNotice = new BuildNotice(notices)
const updatePicture = mergeCalls(showNewTiles, UPDATE_PICTURE_EVERY_MS)
const updatePanels = mergeCalls(showNewThumbnails, UPDATE_PANELS_EVERY_MS)
const updateContrast = mergeCalls(() => contrast.loadHistogram(), UPDATE_CONTRAST_EVERY_MS)

const session = new PyramidSession({
  planeOf: pyramid => (keepsView(pyramid) && hasPlane(pyramid, plane) ? plane : FIRST_PLANE),
  opened: showPyramid,
  empty: showNothing,
  gone: () =>
    notices.show({
      kind: 'gone',
      icon: 'warning',
      text: 'This pyramid is not served any more.',
      action: { label: 'Open current', run: () => void session.pin(undefined) },
      stays: true,
    }),
  failed: message => notices.show({ kind: 'trouble', icon: 'warning', text: message, stays: true }),
  tileFailed: () => store && failures.show(store),
  grew,
  replanned: showPlan,
})
const chooser = new PyramidChooser(buttonById('chooser'), byId('chooser-menu'), listPyramids, id => {
  chooser.setPinned(id)
  void session.pin(id)
})
const feed = new EventFeed({
  source: (current, gapless) => {
    if (store && store.failures.length > 0) retryTiles()
    void readiness.track(session.follow(current, gapless))
  },
  tiles: changes => session.changed(changes),
  build: ({ id, complete, state, message, ...progress }) => {
    if (id === null) return
    if (complete) session.built(id)
    else if (store?.pyramid.id !== id) return
    else if (state === 'failed' || state === 'cancelled') buildNotice.stop(message ?? 'The build was stopped.')
    else buildNotice.show(id, progress)
  },
  beat: () => void session.lookAfterPinned(),
  refused: showRefusal,
  state: (state, retryAtMs, refusal) => connection.show(state, retryAtMs, refusal),
})
const connection = new Connection(byId('connection'), notices, () => feed.tryNow())

// For tests and the console; nothing of the page depends on it.
Object.assign(window, {
  tilestage: {
    /** What is seen: level-0 pixels of the picture's corners, and the level that is drawn. */
    get view() {
      return { ...picture.visibleRect, level: picture.level, umPerPx: picture.umPerPx }
    },
  },
})

const commands: readonly KeyCommand[] = [
  { keys: ['ArrowLeft'], label: '', does: '', run: event => pan(event, -1, 0) },
  { keys: ['ArrowRight'], label: '', does: '', run: event => pan(event, 1, 0) },
  { keys: ['ArrowUp'], label: '', does: '', run: event => pan(event, 0, -1) },
  { keys: ['ArrowDown'], label: '← ↑ → ↓', does: 'Pan, with Shift by a full view', run: event => pan(event, 0, 1) },
  // Digits by their place: on some keyboards they need Shift, and with Shift they are other signs everywhere.
  { keys: ['Digit0', 'Numpad0'], shift: false, label: '0', does: 'Fit the well', run: fitWell },
  { keys: ['Digit0'], shift: true, label: 'Shift 0', does: 'Fit everything', run: fitAll },
  { keys: ['Digit1', 'Numpad1'], label: '1', does: 'One screen pixel per sample', run: () => picture.zoomToSamples() },
  { keys: ['+', '='], label: '+', does: 'Zoom in', run: () => picture.zoomBy(ZOOM_STEP) },
  { keys: ['-', '_'], label: '−', does: 'Zoom out', run: () => picture.zoomBy(1 / ZOOM_STEP) },
  { keys: ['['], label: '[', does: 'Previous well', run: () => plate.step(-1) },
  { keys: [']'], label: ']', does: 'Next well', run: () => plate.step(1) },
  { keys: ['a', 'A'], shift: false, label: 'A', does: 'Automatic contrast', run: () => contrast.auto() },
  {
    keys: ['a', 'A'],
    shift: true,
    label: 'Shift A',
    does: 'Automatic contrast of the view',
    run: () => contrast.autoToView(),
  },
  { keys: ['i', 'I'], label: 'I', does: 'Invert the colours', run: () => contrast.invert() },
  { keys: ['d', 'D'], label: 'D', does: 'Show or hide the panels', run: () => workspace.toggleDock() },
  { keys: ['h', 'H'], label: 'H', does: 'Picture only, and back', run: () => workspace.togglePictureOnly() },
  { keys: ['Escape'], label: '', does: '', run: () => workspace.togglePictureOnly(false) },
  { keys: ['f', 'F'], label: 'F', does: 'Full screen', run: () => workspace.toggleFullScreen() },
  { keys: ['Enter'], label: 'Enter', does: 'Speak what is under the pointer', run: () => statusBar.speak() },
  { keys: ['?'], label: '?', does: 'These keys', run: () => openKeys() },
]
const openKeys = keysDialog(element(document, '#keys', HTMLDialogElement), commands)

listenToKeys(pictureElement, commands)
buttonById('help').addEventListener('click', openKeys)
buttonById('zoom-in').addEventListener('click', () => picture.zoomBy(ZOOM_STEP))
buttonById('zoom-out').addEventListener('click', () => picture.zoomBy(1 / ZOOM_STEP))
buttonById('fit-well').addEventListener('click', fitWell)
buttonById('fit-all').addEventListener('click', fitAll)
buttonById('copy-command').addEventListener('click', () => void copyCommand())
new ResizeObserver(() => picture.resize()).observe(pictureElement)
if (!Picture.isSupported()) {
  const text = 'This browser has no WebGL, which the picture needs.'
  notices.show({ kind: 'trouble', icon: 'warning', text, stays: true, urgent: true })
}
chooser.setPinned(session.pinned)
void readiness.track(session.start().then(refused => refused && showRefusal(refused)))
void feed.run()

function showPyramid(opened: TileStore, before: PyramidInfo | undefined): void {
  const { pyramid } = opened
  const sameArea = keepsView(pyramid)
  const newVersion = before?.id === pyramid.id
  readiness.unsettle()
  growthsDrawn = growths
  if (!sameArea || !hasPlane(pyramid, plane)) plane = FIRST_PLANE
  wantedPlane = plane
  store = opened
  document.body.dataset.state = 'picture'
  const contrastKept = contrast.open(opened, plane.channel, sameArea)
  picture.show(opened, plane, contrast.look, themeColours(), sameArea)
  if (!sameArea)
    picture.fit(
      firstLook(pyramid, () => opened.firstGroup(plane)),
      true,
    )
  sliders.show(pyramid, plane)
  showFacts(pyramid)
  showWells(opened)
  showBuild(pyramid, newVersion)
  notices.dismiss('damage')
  notices.dismiss('gone')
  notices.dismiss('trouble')
  if (before) notices.dismiss('refused')
  if (before && !newVersion) announceSwap(before, pyramid, sameArea, contrastKept)
  loadPanels()
}

/** Whether the present view makes sense in another pyramid. */
function keepsView(next: PyramidInfo): boolean {
  const center = picture.center
  if (store === undefined || center === undefined) return false
  return hasSameTiles(store.pyramid, next) || staysInPlace(store.pyramid, center, next)
}

function showWells(opened: TileStore): void {
  const { pyramid } = opened
  plate.show(pyramid)
  overview.show(opened, plane, contrast.look)
  buttonById('fit-all').hidden = pyramid.wells.length === 0
  const panels = {
    contrast: true,
    plate: pyramid.wells.length > 0,
    planes: pyramid.zPlanes > 1 || pyramid.timePoints > 1,
  }
  workspace.offerPanels(Object.keys(panels).filter(name => panels[name as keyof typeof panels]))
}

/** @param wasShown whether an earlier version of this pyramid was shown until now. */
function showBuild({ id, complete, growth, frames }: PyramidInfo, wasShown: boolean): void {
  connection.setBuilding(!complete)
  if (complete || !wasShown) buildNotice.end(wasShown ? (frames ?? undefined) : undefined)
  if (growth && !complete) buildNotice.show(id, growth)
}

/** Tiles have newer versions: bring what is seen of them up to date. */
function grew(): void {
  growths++
  readiness.unsettle()
  updatePicture()
  updatePanels()
  if (contrast.hasSamples) updateContrast()
}

/** Frames were added to what is going to be in the pyramid. */
function showPlan(opened: TileStore): void {
  showFacts(opened.pyramid)
  showWells(opened)
  showBuild(opened.pyramid, true)
  showView()
  grew()
}

async function showNewTiles(): Promise<void> {
  if (!store) return
  // The first samples wait until there is a contrast to show them with.
  if (!contrast.hasSamples) await contrast.loadHistogram()
  growthsDrawn = growths
  picture.update()
}

async function showNewThumbnails(): Promise<void> {
  const visible = picture.visibleRect
  if (!store || !visible || store.pyramid.complete) return
  overview.show(store, plane, contrast.look)
  await readiness.track(Promise.all([overview.update(visible), plate.load(store, plane, () => contrast.look)]))
}

/** What the panels need beside the tiles of the picture. */
function loadPanels(): void {
  if (!store) return
  void readiness.track(contrast.loadHistogram())
  void readiness.track(plate.load(store, plane, () => contrast.look))
}

function retryTiles(): void {
  picture.retry()
  loadPanels()
}

function announceSwap(before: PyramidInfo, now: PyramidInfo, sameArea: boolean, contrastKept: boolean): void {
  const kept = contrastKept ? 'view and contrast kept' : 'view kept, contrast automatic'
  const what = sameArea ? `Same stage area: ${kept}.` : 'Different stage area: fitted, contrast automatic.'
  const goBack = (): void => {
    chooser.setPinned(before.id)
    void session.pin(before.id)
  }
  notices.show({
    kind: 'swap',
    icon: 'swap',
    text: `Now showing **${now.name}**. ${what}`,
    action: { label: 'Go back', run: goBack },
  })
}

function showNothing(): void {
  store = undefined
  picture.clear()
  overview.hide()
  statusBar.clear()
  document.body.dataset.state = 'empty'
  document.title = 'tilestage'
  element(document, '#chooser b', HTMLElement).textContent = 'No pyramid'
  byId('facts').textContent = ''
  readiness.settle()
}

function showRefusal({ tileDir, message, number }: RefusedSwap): void {
  // Event stream and polling repeat the last refusal, and a server that was started anew counts from one again.
  const refusal = JSON.stringify([number, tileDir])
  if (refusal === lastRefusal) return
  lastRefusal = refusal
  const quoted = `"${tileDir}"`
  const reason = message.replace(message.includes(quoted) ? quoted : tileDir, `**${tileDir}**`)
  const still = store ? ` Still showing ${store.pyramid.name}.` : ''
  notices.show({ kind: 'refused', icon: 'warning', text: `Swap refused: ${reason}${still}`, stays: true, urgent: true })
}

function showFacts({ name, width, height, pixelSizeUm }: PyramidInfo): void {
  element(document, '#chooser b', HTMLElement).textContent = name
  const { x, y } = pixelSizeUm
  const size = `${formatNumber(width)} × ${formatNumber(height)}${THIN_SPACE}px`
  byId('facts').textContent = `${size} · ${formatArea(width * x, height * y)} · ${formatPixelSize(x, y)}`
  document.title = `${name} · tilestage`
}

function selectPlane(selected: PlaneSelection): void {
  if (store) void readiness.track(showPlane(store, selected))
}

async function showPlane(opened: TileStore, selected: PlaneSelection): Promise<void> {
  wantedPlane = selected
  try {
    await opened.prepare(selected)
  } catch (error) {
    notices.show({
      kind: 'trouble',
      icon: 'warning',
      text: `That plane could not be read: ${(error as Error).message}`,
    })
    sliders.show(opened.pyramid, plane)
    return
  }
  // Meanwhile another plane, or another pyramid, may have been chosen.
  if (store !== opened || wantedPlane !== selected) return
  const otherChannel = selected.channel !== plane.channel
  readiness.unsettle()
  plane = selected
  countedView = ''
  if (otherChannel) contrast.selectChannel(plane.channel)
  picture.setLook(contrast.look)
  picture.setSlice(plane)
  overview.show(opened, plane, contrast.look)
  loadPanels()
}

/** Once a frame: everything that follows the view. */
function showView(): void {
  const visible = picture.visibleRect
  if (!store || !visible) return
  const { pyramid } = store
  scaleBar.show(picture.umPerPx, pyramid.pixelSizeUm, picture.widthPx)
  showReadout()
  labels.draw(pyramid.wells.map(well => ({ well, ...screenBox(well, pyramid, visible) })))
  const well = wellInView(pyramid, visible)
  if (well !== plate.current) {
    plate.setCurrent(well)
    document.title = `${well ? `${well.name} · ` : ''}${pyramid.name} · tilestage`
  }
  void readiness.track(overview.update(visible))
}

function onSettled(): void {
  const visible = picture.visibleRect
  if (!store || !visible) return
  if (growthsDrawn === growths) readiness.settle()
  if (store.failures.length === 0) notices.dismiss('damage')
  const view = JSON.stringify([store.pyramid.id, store.pyramid.version, growths, plane, visible, picture.level])
  if (view === countedView) return
  countedView = view
  void readiness.track(countViewLater(view))
}

async function countViewLater(view: string): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, COUNT_VIEW_AFTER_MS))
  if (view === countedView) contrast.countView()
}

function showLoading(loaded: number, wanted: number): void {
  if (loaded < wanted) {
    readiness.unsettle()
    loadingSince ??= performance.now()
  } else {
    loadingSince = undefined
  }
  const isLong = loadingSince !== undefined && performance.now() - loadingSince > LOADING_SHOWN_AFTER_MS
  statusBar.showLoading(isLong ? `Loading ${loaded} of ${wanted} tiles` : undefined)
}

function showReadout(): void {
  if (!store) return
  const { pyramid } = store
  const integer = SAMPLE_TYPES[pyramid.sampleType].integer
  // Fingers do not hover: the centre of the picture is read out instead.
  const pixel = pointer ?? (matchMedia('(hover: none)').matches ? picture.center : undefined)
  const readout = pixel && {
    xUm: pyramid.originUm.x + (pixel.x - 0.5) * pyramid.pixelSizeUm.x,
    yUm: pyramid.originUm.y + (pixel.y - 0.5) * pyramid.pixelSizeUm.y,
    sample: sampleAt(store, plane, picture.level, pixel),
    well: rectAt(pyramid.wells, pixel.x, pixel.y)?.name,
  }
  statusBar.showReadout(readout, picture.umPerPx, picture.level, integer)
}

function visibleSamples() {
  const visible = picture.visibleRect
  return store && visible ? samplesInView(store, plane, picture.level, visible) : []
}

function goToWell(well: Well): void {
  plate.setCurrent(well)
  picture.fit(well)
}

function fitWell(): void {
  const visible = picture.visibleRect
  if (!store || !visible) return
  const { pyramid } = store
  picture.fit(plate.current ?? centralWell(pyramid, visible) ?? pyramid.wells[0] ?? coveredRect(pyramid))
}

function fitAll(): void {
  if (store) picture.fit(coveredRect(store.pyramid))
}

function pan(event: KeyboardEvent, x: number, y: number): void {
  if (event.shiftKey) picture.panByViews(x, y)
  else picture.panBy(x * PAN_PX, y * PAN_PX)
}

function screenBox(rect: Rect, pyramid: PyramidInfo, visible: Rect) {
  const xPx = pyramid.pixelSizeUm.x / picture.umPerPx
  const yPx = pyramid.pixelSizeUm.y / picture.umPerPx
  return {
    left: (rect.x0 - visible.x0) * xPx,
    right: (rect.x1 - visible.x0) * xPx,
    top: (rect.y0 - visible.y0) * yPx,
    bottom: (rect.y1 - visible.y0) * yPx,
  }
}

/** Room for what floats over the picture. */
function insets() {
  return workspace.isPhone ? { top: 12, right: 12, bottom: 64, left: 12 } : { top: 28, right: 16, bottom: 64, left: 68 }
}

async function copyCommand(): Promise<void> {
  // Browsers offer the clipboard to pages of this machine and of https alone; elsewhere the text is selected for Ctrl C.
  if (!navigator.clipboard) {
    getSelection()?.selectAllChildren(byId('command'))
    return
  }
  await navigator.clipboard.writeText(byId('command').textContent ?? '')
  const button = buttonById('copy-command')
  button.textContent = 'Copied'
  setTimeout(() => {
    button.textContent = 'Copy'
  }, COPIED_SHOWN_MS)
}
