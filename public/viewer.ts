import { SAMPLE_TYPES } from '../src/plane.js'
import { ContrastControl } from './contrast/contrast-control.js'
import { BuildNotice } from './frame/build-notice.js'
import { commandsOf, ZOOM_STEP } from './frame/commands.js'
import { Connection } from './frame/connection.js'
import { listenToKeys } from './frame/keys.js'
import { keysDialog } from './frame/keys-dialog.js'
import { Notices } from './frame/notices.js'
import { OverviewMap } from './frame/overview-map.js'
import { PlaneSliders } from './frame/plane-sliders.js'
import { PyramidChooser } from './frame/pyramid-chooser.js'
import { Readiness } from './frame/readiness.js'
import { ScaleBar } from './frame/scale-bar.js'
import { SessionNotices } from './frame/session-notices.js'
import { StatusBar } from './frame/status-bar.js'
import { applyTheme, offerThemes, themeColours } from './frame/theme.js'
import { TileFailures } from './frame/tile-failures.js'
import { Workspace } from './frame/workspace.js'
import { ItemsPanel } from './items/items-panel.js'
import { LayersPanel } from './layers/layers-panel.js'
import { copyText, copyToClipboard } from './parts/copy-text.js'
import { element } from './parts/element.js'
import { mergeCalls } from './parts/merge-calls.js'
import { formatArea, formatNumber, formatPixelSize, showLengthsIn, THIN_SPACE } from './parts/number-format.js'
import { type Look, planesOf, type Slice } from './picture/look.js'
import { Picture } from './picture/picture.js'
import { hasSameTiles, intersect, pixelOfStage } from './picture/stage-geometry.js'
import { firstLook, hasPlane, staysInPlace, wellInView } from './picture/view-choices.js'
import { PlatePanel } from './plate/plate-panel.js'
import { WellLabels } from './plate/well-labels.js'
import { EventFeed } from './server/event-feed.js'
import { isExported } from './server/exported-page.js'
import {
  keepToken,
  listPyramids,
  type PlaneSelection,
  type PointUm,
  type PyramidInfo,
  reasonOf,
} from './server/pyramid-api.js'
import { PyramidSession } from './server/pyramid-session.js'
import { AddressBar } from './share/address-bar.js'
import { CopyLink } from './share/copy-link.js'
import { ExportDialog } from './share/export-dialog.js'
import { type ExportSource, exportSourceOf } from './share/export-source.js'
import { LinkedView } from './share/linked-view.js'
import type { ReadLink } from './share/permalink.js'
import { applyDisplay } from './share/wall-display.js'
import { prefetchView } from './tiles/prefetch-view.js'
import type { TileStore } from './tiles/tile-store.js'
import { sampleAt, samplesInView } from './tiles/view-samples.js'
import { factsOfChannels, type ShownPlanes } from './tools/shown-channels.js'
import { Tools } from './tools/tools.js'
import type { OverlayName } from './tools/tools-state.js'
import { ValueDetails } from './tools/value-details.js'
import { Compass } from './view/compass.js'
import { Navigation } from './view/navigation.js'
import { type PositionAction, PositionMenu } from './view/position-menu.js'
import { Reticle } from './view/reticle.js'
import { ViewMenu } from './view/view-menu.js'

/** Of a stage position in µm; there are no stages that tell picometres apart. */
const POSITION_DECIMALS = 6
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
applyDisplay()

const readiness = new Readiness()
const workspace = new Workspace(heightPx => picture.hideBottom(heightPx))
const notices = new Notices(byId('notice'))
const statusBar = new StatusBar(byId('status'), openDetails)
const scaleBar = new ScaleBar(byId('scale-bar'))
const compass = new Compass(buttonById('compass'), () => navigation.turnBack())
const reticle = new Reticle(byId('reticle'), showView)
const labels = new WellLabels(element(document, '#labels', HTMLCanvasElement))
const pictureElement = byId('picture')

const details = new ValueDetails(byId('value-details'), pixel => items.details(pixel))

let store: TileStore | undefined
let plane = FIRST_PLANE
let wantedPlane = FIRST_PLANE
/** Stage position under the pointer. */
let pointer: PointUm | undefined
/** What was read out last, level-0 px: the pointer leaves it on the way to its details. */
let readOut: PointUm | undefined
let countedView = ''
let drawnChannels = ''
/** Changes of the tiles of growing pyramids. */
let growths = 0
let growthsDrawn = 0
let loadingSince: number | undefined

const picture = new Picture(pictureElement, insets, {
  drawn: showView,
  settled: onSettled,
  moving: () => store && readiness.unsettle(),
  loading: showLoading,
  pointed: event => {
    pointer = event?.stage
    showReadout()
  },
  clicked: ({ stage, pointerType }) => {
    if (pointerType === 'touch') reticle.pin(undefined)
    else if (picture.frame) reticle.toggle(stage, picture.frame)
  },
  held: ({ stage }) => reticle.pin(stage),
  menu: event => positionMenu.open(event, picture.umPerPx),
})
const viewMenu = new ViewMenu(byId('view-menu'), buttonById('view-menu-button'), {
  goTo: text => navigation.goTo(text),
  turned: rotation => picture.turnTo(rotation),
  turnedBy: degrees => picture.turnBy(degrees),
  mirrored: yUp => picture.mirror(yUp),
  turnByFingers: on => picture.turnByFingers(on),
  closed: focusPicture,
})
const positionActions: PositionAction[] = [
  { label: 'Copy position', run: copyPosition },
  { label: 'Centre here', run: place => picture.flyTo(place) },
  ...(isExported ? [] : [{ label: 'Add a point here', run: (place: PointUm) => tools.addPoint(place) }]),
  { label: 'Pin the reticle here', run: place => reticle.pin(place) },
  { label: 'Go to…', run: () => viewMenu.open() },
]
const positionMenu = new PositionMenu(byId('position-menu'), positionActions, focusPicture)
const contrast = new ContrastControl(
  byId('contrast'),
  { samples: visibleSamples, wells: visibleWells },
  { changed: showLook, shown: showLayers },
)
const layers = new LayersPanel(byId('layers'), {
  channelToggled: (channel, visible) => contrast.setVisible(channel, visible),
  channelSoloed: channel => contrast.solo(channel),
  channelSelected: channel => contrast.select(channel),
  overlayToggled: (name, visible) => tools.setVisible(name as OverlayName, visible),
})
const tools = new Tools(picture, notices, {
  changed: showLayers,
  chosen: () => workspace.closeSheet(),
  goTo: place => picture.flyTo(place),
  contrastFound: windows => contrast.fitTo(windows),
  sourcesFound: showReadout,
})
const plate = new PlatePanel(byId('plate'), well => navigation.goToWell(well))
const items = new ItemsPanel(byId('items'), element(document, '#item-marks', HTMLCanvasElement), {
  goTo: rect => picture.fit(rect),
  rowFound: showReadout,
  failed: message => notices.show({ kind: 'items', icon: 'warning', text: message }),
})
const navigation = new Navigation(picture, plate, reticle, items)
const sliders = new PlaneSliders(byId('planes'), {
  chosen: selectSlice,
  expected: prefetchSlice,
  paused: showSliceInPanels,
})
const overview = new OverviewMap(byId('overview'), place => picture.centerOn(place))
const failures = new TileFailures(notices, retryTiles)
const buildNotice = new BuildNotice(notices)
const sessionNotices = new SessionNotices(notices, pin)
const updatePicture = mergeCalls(showNewTiles, UPDATE_PICTURE_EVERY_MS)
const updatePanels = mergeCalls(showNewThumbnails, UPDATE_PANELS_EVERY_MS)
const updateContrast = mergeCalls(() => contrast.loadHistogram(), UPDATE_CONTRAST_EVERY_MS)

const session = new PyramidSession({
  planesOf: planesToShow,
  opened: showPyramid,
  empty: showNothing,
  gone: () => sessionNotices.gone(),
  linked: (shown, current) => current && sessionNotices.linked(shown, current),
  linkUnknown: () => {
    linked.forget()
    addressBar.update()
    sessionNotices.linkUnknown()
  },
  failed: message => sessionNotices.trouble(message, true),
  tileFailed: () => store && failures.show(store),
  grew,
  replanned: showPlan,
})
const chooser = new PyramidChooser(buttonById('chooser'), byId('chooser-menu'), listPyramids, pin)
const feed = new EventFeed({
  source: (current, gapless) => {
    if (store && store.failures.length > 0) retryTiles()
    if (!gapless) tools.catchUp()
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
  refused: refusal => sessionNotices.refused(refusal, store?.pyramid),
  rois: change => tools.hear(change),
  state: (state, retryAtMs, refusal) => connection.show(state, retryAtMs, refusal),
})
const connection = new Connection(byId('connection'), notices, () => feed.tryNow())

// For tests and the console; nothing of the page depends on it.
Object.assign(window, {
  tilestage: {
    /** What is seen: the view, the box around it in level-0 pixels, and the level that is drawn. */
    get view() {
      return { ...picture.view, ...picture.visibleRect, level: picture.level }
    },
    contrast,
    /** Draw something else, until the panel is touched. */
    setLook: showLook,
  },
})

const linked = new LinkedView({ picture, contrast, tools, workspace, notices: sessionNotices })
const addressBar = new AddressBar(() => store && picture.frame && linked.seen(store.pyramid, plane), followLink)
new MutationObserver(() => addressBar.update()).observe(document.body, { attributeFilter: ['data-dock'] })
const copyLink = new CopyLink(buttonById('copy-link'), byId('link-popover'), () => addressBar.href)
const exportDialog = new ExportDialog(element(document, '#export', HTMLDialogElement), exportSource)

const commands = commandsOf({
  ...{ picture, navigation, viewMenu, contrast, tools, sliders, plate, workspace, copyLink, exportDialog },
  leave,
  enter,
  openKeys: () => openKeys(),
}).filter(({ needsServer = false }) => !(needsServer && isExported))
const openKeys = keysDialog(element(document, '#keys', HTMLDialogElement), commands)

listenToKeys(pictureElement, commands)
buttonById('open-export').addEventListener('click', () => exportDialog.open())
buttonById('help').addEventListener('click', openKeys)
offerThemes(buttonById('theme'), () => {
  readiness.unsettle()
  picture.setColours(themeColours())
  showView()
})
buttonById('zoom-in').addEventListener('click', () => picture.zoomBy(ZOOM_STEP))
buttonById('zoom-out').addEventListener('click', () => picture.zoomBy(1 / ZOOM_STEP))
buttonById('fit-well').addEventListener('click', () => navigation.fitWell())
buttonById('fit-all').addEventListener('click', () => navigation.fitAll())
buttonById('copy-command').addEventListener('click', ({ currentTarget }) => {
  void copyText(byId('command').textContent, currentTarget as HTMLButtonElement)
})
new ResizeObserver(() => picture.resize()).observe(pictureElement)
if (!Picture.hasWebGl) {
  const text = 'Drawn without WebGL, which this browser does not offer. Contrast changes take longer.'
  notices.show({ kind: 'no-webgl', icon: 'warning', text })
}
followLink(addressBar.link)
void readiness.track(session.start().then(refused => refused && sessionNotices.refused(refused, store?.pyramid)))
// An export has all that there is; a server may have more.
if (!isExported) void feed.run()
buttonById('chooser').disabled = isExported

function showPyramid(opened: TileStore, before: PyramidInfo | undefined): void {
  const { pyramid } = opened
  const sameArea = keepsView(pyramid)
  const newVersion = before?.id === pyramid.id
  readiness.unsettle()
  showLengthsIn(pyramid.isUncalibrated ? 'px' : 'µm')
  growthsDrawn = growths
  plane = planeToShow(pyramid)
  wantedPlane = plane
  store = opened
  chooser.setPinned(session.pinned)
  document.body.dataset.state = 'picture'
  const contrastKept = contrast.open(opened, sameArea)
  drawnChannels = channelsOf(contrast.look)
  void trackPicture(picture.show(opened, plane, contrast.look, themeColours(), sameArea))
  if (!sameArea) {
    const first = firstLook(pyramid, () => opened.firstGroup(plane))
    picture.fit(first, true)
    reticle.pin(undefined)
  }
  linked.show(pyramid)
  showGridLink(pyramid)
  navigation.open(pyramid)
  sliders.show(pyramid, plane)
  void readiness.track(items.open(pyramid))
  void readiness.track(tools.open(shownPlanes()))
  showFacts(pyramid)
  showWells(opened)
  showBuild(pyramid, newVersion)
  sessionNotices.opened(before === undefined)
  if (before && !newVersion) sessionNotices.swapped(before, pyramid, { view: sameArea, contrast: contrastKept })
  loadPanels()
}

/** Planes that are going to be shown, as far as that is known before the pyramid is open; the selected one first. */
function planesToShow(pyramid: PyramidInfo): PlaneSelection[] {
  const selected = planeToShow(pyramid)
  if (!keepsView(pyramid)) return [selected]
  const others = planesOf(contrast.look, selected).filter(({ channel }) => channel !== selected.channel)
  return [selected, ...others.filter(other => hasPlane(pyramid, other))]
}

/** The plane that a link asks for, or the one that is seen, as far as the pyramid has them. */
function planeToShow(pyramid: PyramidInfo): PlaneSelection {
  const slice = linked.sliceOf(pyramid)
  const asked = slice && { ...FIRST_PLANE, ...slice }
  if (asked && hasPlane(pyramid, asked)) return asked
  return keepsView(pyramid) && hasPlane(pyramid, plane) ? plane : FIRST_PLANE
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
    plate: plate.isShown,
    items: items.isShown,
    layers: true,
    planes: pyramid.zPlanes > 1 || pyramid.timePoints > 1,
    measurements: true,
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
  void tools.open(shownPlanes())
  showView()
  grew()
}

async function showNewTiles(): Promise<void> {
  if (!store) return
  // The first samples wait until there is a contrast to show them with.
  if (!contrast.hasSamples) await contrast.loadHistogram()
  growthsDrawn = growths
  picture.update()
  tools.show(shownPlanes())
}

async function showNewThumbnails(): Promise<void> {
  const { frame } = picture
  if (!store || !frame || store.pyramid.complete) return
  overview.show(store, plane, contrast.look)
  await readiness.track(Promise.all([overview.update(frame), plate.load(store, plane, () => contrast.look)]))
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

function showNothing(): void {
  store = undefined
  picture.clear()
  overview.hide()
  statusBar.clear()
  void items.open(undefined)
  void tools.open(undefined)
  navigation.open(undefined)
  document.body.dataset.state = 'empty'
  document.title = 'tilestage'
  element(document, '#chooser b', HTMLElement).textContent = 'No pyramid'
  byId('facts').textContent = ''
  readiness.settle()
}

function showFacts({ name, width, height, pixelSizeUm, isUncalibrated }: PyramidInfo): void {
  element(document, '#chooser b', HTMLElement).textContent = name
  const { x, y } = pixelSizeUm
  const size = `${formatNumber(width)} × ${formatNumber(height)}${THIN_SPACE}px`
  const area = isUncalibrated ? [] : [formatArea(width * x, height * y)]
  byId('facts').textContent = [size, ...area, formatPixelSize(x, y)].join(' · ')
  document.title = `${name} · tilestage`
}

/** Not ready before what is asked for now is drawn. */
async function trackPicture(asking: Promise<unknown>): Promise<void> {
  readiness.unsettle()
  await readiness.track(asking.then(() => readiness.unsettle(), reportUnread))
}

/** Coverage tells which tiles there are; without it a plane cannot be shown. */
function reportUnread(error: Error): void {
  sessionNotices.trouble(`That plane could not be read. ${reasonOf(error)}`)
}

async function selectPlane(selected: PlaneSelection): Promise<void> {
  if (store) await readiness.track(showPlane(store, selected))
}

/** @returns once it is drawn: whether it could be. */
async function selectSlice(slice: Slice): Promise<boolean> {
  await selectPlane({ ...plane, ...slice })
  await picture.drawn()
  return plane.zPlane === slice.zPlane && plane.timePoint === slice.timePoint
}

function prefetchSlice(slice: Slice): void {
  const visible = picture.visibleRect
  if (store && visible) void prefetchView(store, planesOf(contrast.look, slice), picture.level, visible)
}

async function showPlane(opened: TileStore, selected: PlaneSelection): Promise<void> {
  wantedPlane = selected
  try {
    await opened.prepare(selected)
  } catch (error) {
    reportUnread(error as Error)
    sliders.show(opened.pyramid, plane)
    return
  }
  // Meanwhile another plane, or another pyramid, may have been chosen.
  if (store !== opened || wantedPlane !== selected) return
  readiness.unsettle()
  plane = selected
  countedView = ''
  const setting = [picture.setLook(contrast.look), picture.setSlice(plane)]
  tools.show(shownPlanes())
  // While slices are played, the panels would never catch up.
  if (!sliders.isPlaying) showSliceInPanels()
  await trackPicture(Promise.all(setting))
}

function showSliceInPanels(): void {
  if (!store) return
  overview.show(store, plane, contrast.look)
  loadPanels()
}

function showLook(look: Look): void {
  if (!store) return
  void trackPicture(picture.setLook(look))
  void readiness.track(plate.setLook(look))
  overview.setLook(look)
  tools.show(shownPlanes())
  if (channelsOf(look) === drawnChannels) return
  drawnChannels = channelsOf(look)
  countedView = ''
  overview.show(store, plane, look)
  loadPanels()
}

const channelsOf = ({ channels }: Look): string => channels.map(({ channel }) => channel).join()

function showLayers(): void {
  if (!store) return
  layers.show(contrast.rows, contrast.integer, tools.rows)
  addressBar.update()
}

/** Once a frame: everything that follows the view. */
function showView(): void {
  const { frame } = picture
  if (!store || !frame) return
  const { pyramid } = store
  scaleBar.show(picture.umPerPx, pyramid.pixelSizeUm, frame.width)
  showReadout()
  items.draw(frame)
  tools.draw()
  labels.draw(pyramid, frame)
  compass.follow(frame)
  reticle.follow(frame)
  viewMenu.follow(frame)
  const well = wellInView(pyramid, frame.visibleRect(pyramid))
  contrast.setWell(well)
  if (well !== plate.current) {
    plate.setCurrent(well)
    document.title = `${well ? `${well.name} · ` : ''}${pyramid.name} · tilestage`
  }
  void readiness.track(overview.update(frame))
  addressBar.update()
}

function onSettled(): void {
  const visible = picture.visibleRect
  if (!store || !visible) return
  if (growthsDrawn === growths) readiness.settle()
  if (store.failures.length === 0) notices.dismiss('damage')
  const view = JSON.stringify([store.pyramid.id, store.pyramid.version, growths, plane, visible, picture.level])
  if (view === countedView) return
  countedView = view
  void readiness.track(tools.settle())
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
  const opened = store
  const { pyramid } = opened
  const integer = SAMPLE_TYPES[pyramid.sampleType].integer
  // Fingers do not hover: the centre of the picture is read out instead.
  const centre = matchMedia('(hover: none)').matches ? picture.frame?.centerUm : undefined
  const place = reticle.place ?? pointer ?? centre
  const pixel = place && pixelOfStage(pyramid, place)
  readOut = pixel ?? readOut
  const readout = pixel && {
    xUm: place.x,
    yUm: place.y,
    values: factsOfChannels(pyramid, contrast.look).map(({ channel, unit, colour }) => ({
      sample: sampleAt(opened, { ...plane, channel }, picture.level, pixel),
      unit,
      colour,
    })),
    source: items.describe(pixel) ?? tools.sourceAt(pixel),
  }
  statusBar.showReadout(readout, picture.umPerPx, picture.level, integer)
}

/** Several channels can be seen side by side. */
function showGridLink({ id, channels }: PyramidInfo): void {
  const link = element(document, '#grid-link', HTMLAnchorElement)
  link.hidden = channels.length < 2
  link.href = document.documentElement.dataset.grid ?? `grid.html?pyramid=${encodeURIComponent(id)}`
}

/** What the tools measure. */
function shownPlanes(): ShownPlanes | undefined {
  return store && { store, slice: plane, channels: factsOfChannels(store.pyramid, contrast.look), growths }
}

function openDetails(): void {
  if (store && readOut) void details.open(store.pyramid, plane, readOut)
}

function visibleSamples(channel: number) {
  const visible = picture.visibleRect
  return store && visible ? samplesInView(store, { ...plane, channel }, picture.level, visible) : []
}

function visibleWells() {
  const visible = picture.visibleRect
  return store && visible ? store.pyramid.wells.filter(well => intersect(well, visible)) : []
}

/** Back to where one came from, a step at a time. */
function leave(): void {
  if (tools.leave()) return
  workspace.togglePictureOnly(false)
  reticle.pin(undefined)
}

/** End what is being drawn, or tell what is under the pointer. */
function enter(): void {
  if (tools.finish()) return
  statusBar.speak()
  openDetails()
}

function focusPicture(): void {
  pictureElement.focus()
}

function exportSource(): ExportSource | undefined {
  const { frame } = picture
  return store && frame && exportSourceOf(store, frame, plane, contrast, tools, addressBar.href)
}

/** The address was changed. */
function followLink(link: ReadLink): void {
  linked.ask(link)
  const { id, slice } = link.state
  if (id !== undefined && id !== store?.pyramid.id) {
    void readiness.track(session.openLinked(id))
  } else if (store) {
    linked.show(store.pyramid)
    addressBar.update()
    if (slice && hasPlane(store.pyramid, { ...plane, ...slice }))
      void selectSlice(slice).then(() => store && sliders.show(store.pyramid, plane))
  }
}

/** Stay with a pyramid, or follow the server. */
function pin(id: string | undefined): void {
  chooser.setPinned(id)
  void session.pin(id)
}

/** Full precision, plain ASCII; where it cannot be copied, it is there to be. */
async function copyPosition({ x, y }: PointUm): Promise<void> {
  const text = [x, y].map(um => Number(um.toFixed(POSITION_DECIMALS))).join(', ')
  if (!(await copyToClipboard(text))) viewMenu.open(text)
}

/** Room for what floats over the picture. */
function insets() {
  return workspace.isPhone ? { top: 12, right: 12, bottom: 64, left: 12 } : { top: 28, right: 16, bottom: 64, left: 68 }
}
