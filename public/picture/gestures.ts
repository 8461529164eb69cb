import type { PointUm } from '../server/pyramid-api.js'
import type { Camera } from './camera.js'
import type { ScreenPoint } from './view-frame.js'

/** Where a pointer is on the picture. */
export interface ToolEvent {
  readonly stage: PointUm
  readonly screen: ScreenPoint
  readonly shift: boolean
  readonly alt: boolean
  /** `mouse`, `touch` or `pen`. */
  readonly pointerType: string
}

/**
 * What the pointer does on the picture. Of a press either `drag` and `up` follow, once it moves, or `click`. What a tool
 * does not define is done as without a tool: a drag pans, a click pins the reticle.
 */
export interface PictureTool {
  /** CSS cursor over the picture, or over the handle. */
  readonly cursor: string
  /** @returns whether it takes the drag that may begin here. */
  down?(event: ToolEvent): boolean
  drag?(event: ToolEvent): void
  /** A drag that was taken ended. */
  up?(event: ToolEvent): void
  click?(event: ToolEvent): void
  /** After two clicks: of the mouse, or taps of a finger. */
  doubleClick?(event: ToolEvent): void
  /** The pointer moves without being pressed. */
  move?(event: ToolEvent): void
  /** The pointer left; or a second finger came, and the drag under way is to be dropped. */
  leave?(): void
}

/** A handle under the pointer, whatever tool is active; it wins over tool and panning. */
export type HandleHit = (event: ToolEvent) => PictureTool | undefined

export interface GestureListener {
  /** The pointer is there; `undefined` once it left. Fingers do not hover. */
  pointed(event: ToolEvent | undefined): void
  /** A click that no tool wanted. */
  clicked(event: ToolEvent): void
  /** A finger stayed where it was put down. */
  held(event: ToolEvent): void
  /** The menu of the place was asked for: by a right click, or by its key. */
  menu(event: ToolEvent): void
}

/** A press is a drag once it moved so far, px. */
const DRAG_AFTER_PX = { mouse: 3, touch: 8 }
/** Two clicks so near to each other in time and place are a double click. */
const DOUBLE_WITHIN_MS = 400
const DOUBLE_WITHIN_PX = { mouse: 6, touch: 24 }
const HELD_AFTER_MS = 500
const DOUBLE_TAP_ZOOM = 2
const WHEEL_FACTOR_PER_UNIT = 1.0015
const LINE_UNITS = 16
const MIDDLE_BUTTON = 1
const RIGHT_BUTTON = 2

/** What a press does once it moves. */
type Drag = Pick<PictureTool, 'drag' | 'up' | 'leave'>

interface Press {
  readonly pointerId: number
  readonly from: ScreenPoint
  /** Gets the click. */
  readonly tool: PictureTool | undefined
  /** The tool took the drag. */
  readonly taken: boolean
  readonly drag: Drag
  moved: boolean
  heldTimer: number | undefined
}

interface Pinch {
  /** What lies between the fingers, and stays there. */
  readonly stage: PointUm
  readonly umPerPx: number
  readonly rotation: number
  readonly fingers: FingerPair
}

interface FingerPair {
  readonly middle: ScreenPoint
  readonly distance: number
  /** Degrees, clockwise. */
  readonly angle: number
}

/** Pointers and wheel on the picture: they move the view, unless a tool or a handle wants them. */
export class Gestures {
  /** Two fingers turn the picture as well. */
  turnsByFingers = false
  readonly #target: HTMLElement
  readonly #camera: Camera
  readonly #listener: GestureListener
  readonly #pointers = new Map<number, ScreenPoint>()
  readonly #handles: HandleHit[] = []
  #tool: PictureTool | undefined
  #press: Press | undefined
  #pinch: Pinch | undefined
  #lastClick: { readonly at: ScreenPoint; readonly timeMs: number } | undefined

  constructor(target: HTMLElement, camera: Camera, listener: GestureListener) {
    this.#target = target
    this.#camera = camera
    this.#listener = listener
    target.addEventListener('pointerdown', event => this.#onDown(event))
    target.addEventListener('pointermove', event => this.#onMove(event))
    target.addEventListener('pointerup', event => this.#onUp(event))
    target.addEventListener('pointercancel', event => this.#onCancel(event))
    target.addEventListener('pointerleave', () => this.#onLeave())
    target.addEventListener('wheel', event => this.#onWheel(event), { passive: false })
    target.addEventListener('contextmenu', event => this.#onMenu(event))
    // The middle button drags; it would scroll the page.
    target.addEventListener('mousedown', event => event.button === MIDDLE_BUTTON && event.preventDefault())
  }

  setTool(tool: PictureTool | undefined): void {
    this.#tool?.leave?.()
    this.#tool = tool
    this.#target.style.cursor = tool?.cursor ?? ''
  }

  addHandles(hit: HandleHit): void {
    this.#handles.push(hit)
  }

  #onDown(event: PointerEvent): void {
    // With Ctrl it is the right button of a Mac.
    if ((event.button !== 0 && event.button !== MIDDLE_BUTTON) || event.ctrlKey) return
    this.#pointers.set(event.pointerId, this.#screen(event))
    this.#target.setPointerCapture(event.pointerId)
    if (this.#pointers.size === 1) {
      this.#press = this.#pressAt(event)
    } else if (this.#pointers.size === 2) {
      this.#dropPress()
      this.#pinch = this.#pinchNow()
    }
  }

  #onMove(event: PointerEvent): void {
    const at = this.#toolEvent(event)
    if (event.pointerType !== 'touch') this.#listener.pointed(at)
    if (!this.#pointers.has(event.pointerId)) {
      this.#hover(at)
      return
    }
    this.#pointers.set(event.pointerId, at.screen)
    if (this.#pinch) this.#movePinch(this.#pinch)
    else if (this.#press?.pointerId === event.pointerId) this.#movePress(this.#press, at)
  }

  #movePress(press: Press, at: ToolEvent): void {
    if (!press.moved && isNear(press.from, at.screen, of(DRAG_AFTER_PX, at))) return
    clearTimeout(press.heldTimer)
    press.moved = true
    press.drag.drag?.(at)
  }

  #onUp(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId)) return
    if (this.#pinch) this.#endPinch()
    else if (this.#press) this.#endPress(this.#press, this.#toolEvent(event), event.timeStamp)
  }

  #endPress(press: Press, at: ToolEvent, timeMs: number): void {
    this.#press = undefined
    clearTimeout(press.heldTimer)
    if (press.moved) press.drag.up?.(at)
    else this.#click(press, at, timeMs)
    this.#hover(at)
  }

  #onCancel(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId)) return
    if (this.#pinch) this.#endPinch()
    else this.#dropPress()
  }

  #onLeave(): void {
    this.#listener.pointed(undefined)
    this.#tool?.leave?.()
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault()
    const units = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_UNITS : event.deltaY
    // A pinch on a trackpad arrives as a wheel with Ctrl and small steps.
    const factor = WHEEL_FACTOR_PER_UNIT ** (event.ctrlKey ? units * 6 : units)
    const { stage, screen } = this.#toolEvent(event)
    this.#camera.view = this.#camera.placing(stage, screen, { umPerPx: this.#camera.view.umPerPx * factor })
  }

  #onMenu(event: MouseEvent): void {
    event.preventDefault()
    // A finger that is held is not a click of the right button.
    if (this.#pointers.size > 0) return
    const { frame } = this.#camera
    const byKey = event.button !== RIGHT_BUTTON && !event.ctrlKey
    const at = this.#toolEvent(event)
    const middle = { ...at, screen: frame.middle, stage: frame.centerUm }
    this.#listener.menu(byKey ? middle : at)
  }

  #hover(at: ToolEvent): void {
    const tool = this.#toolAt(at)
    this.#target.style.cursor = tool?.cursor ?? ''
    if (at.pointerType !== 'touch') tool?.move?.(at)
  }

  #toolAt(at: ToolEvent): PictureTool | undefined {
    for (const hit of this.#handles) {
      const handle = hit(at)
      if (handle) return handle
    }
    return this.#tool
  }

  #pressAt(event: PointerEvent): Press {
    const at = this.#toolEvent(event)
    const tool = event.button === MIDDLE_BUTTON ? undefined : this.#toolAt(at)
    const taken = tool?.down?.(at) ?? false
    const drag = taken && tool ? tool : this.#dragOfView(at)
    const press: Press = {
      pointerId: event.pointerId,
      from: at.screen,
      tool,
      taken,
      drag,
      moved: false,
      heldTimer: undefined,
    }
    if (event.pointerType === 'touch' && !taken) {
      press.heldTimer = window.setTimeout(() => {
        this.#dropPress()
        this.#listener.held(at)
      }, HELD_AFTER_MS)
    }
    return press
  }

  #dragOfView(at: ToolEvent): Drag {
    if (at.shift && at.pointerType !== 'touch') return at.alt ? this.#turning(at) : this.#boxing(at)
    return this.#panning(at)
  }

  #panning({ stage }: ToolEvent): Drag {
    return {
      drag: ({ screen }) => {
        this.#target.style.cursor = 'grabbing'
        this.#camera.view = this.#camera.placing(stage, screen)
      },
    }
  }

  #turning({ screen: from }: ToolEvent): Drag {
    const { frame } = this.#camera
    const start = pairOf(frame.middle, from).angle
    return {
      drag: ({ screen }) => {
        const rotation = frame.rotation + pairOf(frame.middle, screen).angle - start
        this.#camera.view = this.#camera.placing(frame.centerUm, frame.middle, { rotation })
      },
    }
  }

  #boxing({ screen: from }: ToolEvent): Drag {
    const box = document.createElement('div')
    box.className = 'zoom-box'
    return {
      drag: ({ screen }) => {
        const { middle, width, height } = boxOf(from, screen)
        box.style.cssText = `left: ${middle.left - width / 2}px; top: ${middle.top - height / 2}px; width: ${width}px; height: ${height}px`
        if (!box.isConnected) this.#target.append(box)
      },
      up: ({ screen }) => {
        box.remove()
        const { middle, width, height } = boxOf(from, screen)
        const { frame } = this.#camera
        const umPerPx = frame.umPerPx * Math.max(width / frame.width, height / frame.height)
        this.#camera.flyTo(this.#camera.placing(frame.toStage(middle), frame.middle, { umPerPx }))
      },
      leave: () => box.remove(),
    }
  }

  #click({ tool, taken }: Press, at: ToolEvent, timeMs: number): void {
    const last = this.#lastClick
    const isDouble =
      last !== undefined &&
      timeMs - last.timeMs < DOUBLE_WITHIN_MS &&
      isNear(last.at, at.screen, of(DOUBLE_WITHIN_PX, at))
    this.#lastClick = isDouble ? undefined : { at: at.screen, timeMs }
    if (tool?.click) tool.click(at)
    else if (!taken) this.#listener.clicked(at)
    if (!isDouble) return
    if (tool?.doubleClick) tool.doubleClick(at)
    else if (at.pointerType === 'touch' && !taken) this.#camera.zoomBy(DOUBLE_TAP_ZOOM, at.screen)
  }

  /** What was begun is not meant. */
  #dropPress(): void {
    clearTimeout(this.#press?.heldTimer)
    this.#press?.drag.leave?.()
    this.#press = undefined
  }

  #pinchNow(): Pinch {
    const { frame } = this.#camera
    const fingers = this.#fingers
    return { stage: frame.toStage(fingers.middle), umPerPx: frame.umPerPx, rotation: frame.rotation, fingers }
  }

  get #fingers(): FingerPair {
    const [one, two] = [...this.#pointers.values()] as [ScreenPoint, ScreenPoint]
    return pairOf(one, two)
  }

  #movePinch({ stage, umPerPx, rotation, fingers }: Pinch): void {
    const now = this.#fingers
    this.#camera.view = this.#camera.placing(stage, now.middle, {
      umPerPx: (umPerPx * fingers.distance) / Math.max(1, now.distance),
      rotation: this.turnsByFingers ? rotation + now.angle - fingers.angle : rotation,
    })
  }

  /** One of the fingers is gone: the other one goes on panning from where it is. */
  #endPinch(): void {
    this.#pinch = this.#pointers.size > 1 ? this.#pinchNow() : undefined
    const [rest] = this.#pointers
    if (this.#pinch || !rest) return
    const [pointerId, from] = rest
    const at = { ...NO_KEYS, screen: from, stage: this.#camera.frame.toStage(from), pointerType: 'touch' }
    this.#press = {
      pointerId,
      from,
      tool: undefined,
      taken: false,
      drag: this.#panning(at),
      moved: true,
      heldTimer: undefined,
    }
  }

  #screen({ clientX, clientY }: MouseEvent): ScreenPoint {
    const { left, top } = this.#target.getBoundingClientRect()
    return { left: clientX - left, top: clientY - top }
  }

  #toolEvent(event: MouseEvent): ToolEvent {
    const screen = this.#screen(event)
    const pointerType = event instanceof PointerEvent ? event.pointerType : 'mouse'
    return { screen, stage: this.#camera.frame.toStage(screen), shift: event.shiftKey, alt: event.altKey, pointerType }
  }
}

const NO_KEYS = { shift: false, alt: false }

/** Fingers are less exact than a mouse. */
function of(limits: { mouse: number; touch: number }, { pointerType }: ToolEvent): number {
  return pointerType === 'touch' ? limits.touch : limits.mouse
}

function isNear(a: ScreenPoint, b: ScreenPoint, px: number): boolean {
  return Math.hypot(a.left - b.left, a.top - b.top) <= px
}

function pairOf(a: ScreenPoint, b: ScreenPoint): FingerPair {
  const [right, down] = [b.left - a.left, b.top - a.top]
  return {
    middle: { left: (a.left + b.left) / 2, top: (a.top + b.top) / 2 },
    distance: Math.hypot(right, down),
    angle: (Math.atan2(down, right) * 180) / Math.PI,
  }
}

function boxOf(a: ScreenPoint, b: ScreenPoint): { middle: ScreenPoint; width: number; height: number } {
  return { middle: pairOf(a, b).middle, width: Math.abs(a.left - b.left), height: Math.abs(a.top - b.top) }
}
