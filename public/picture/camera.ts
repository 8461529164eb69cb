import type { Rect } from '../../src/plane.js'
import type { PointUm } from '../server/pyramid-api.js'
import { type ScreenPoint, type View, ViewFrame } from './view-frame.js'

/** Free space in px to leave around what is fitted, for what floats over the picture. */
export interface Insets {
  readonly top: number
  readonly right: number
  readonly bottom: number
  readonly left: number
}

/** How far a view may go. */
export interface ViewLimits {
  readonly minUmPerPx: number
  readonly maxUmPerPx: number
  /** The centre stays in it; stage µm. */
  readonly areaUm: Rect
}

type Changes = Partial<Omit<View, 'centerUm'>>

const FLIGHT_MS = 250
const NO_LIMITS: ViewLimits = {
  minUmPerPx: 0,
  maxUmPerPx: Number.POSITIVE_INFINITY,
  areaUm: { x0: -Infinity, y0: -Infinity, x1: Infinity, y1: Infinity },
}

const calm = matchMedia('(prefers-reduced-motion: reduce)')

/** The view on the stage: where it is, how far it may go, and how it gets there. */
export class Camera {
  readonly #onMove: () => void
  #view: View = { centerUm: { x: 0, y: 0 }, umPerPx: 1, rotation: 0, yUp: false }
  #width = 1
  #height = 1
  #limits = NO_LIMITS
  /** Where the flight under way leads. */
  #flight: { readonly to: View; request: number } | undefined

  /** @param onMove the view or the size changed, or a flight begins. */
  constructor(onMove: () => void) {
    this.#onMove = onMove
  }

  get view(): View {
    return this.#view
  }

  set view(view: View) {
    this.#stop()
    this.#move(this.#limited(view))
  }

  /** Where the flight under way leads; without one, the view. */
  get destination(): View {
    return this.#flight?.to ?? this.#view
  }

  get frame(): ViewFrame {
    return new ViewFrame(this.#view, this.#width, this.#height)
  }

  get isFlying(): boolean {
    return this.#flight !== undefined
  }

  /** @param keeps the present view as it is, even if it lies outside. */
  limit(limits: ViewLimits, keeps: boolean): void {
    this.#limits = limits
    if (!keeps) this.view = this.#view
  }

  /** So much of the picture is seen, px. @param centerUm what is in its middle now. */
  resize(width: number, height: number, centerUm = this.#view.centerUm): void {
    this.#width = Math.max(1, width)
    this.#height = Math.max(1, height)
    this.#stop()
    this.#move({ ...this.#view, centerUm })
  }

  flyTo(view: View): void {
    const to = this.#limited(view)
    this.#stop()
    if (calm.matches) {
      this.#move(to)
      return
    }
    const from = this.#view
    const startedAt = performance.now()
    const step = (now: number): void => {
      const time = Math.min(1, Math.max(0, now - startedAt) / FLIGHT_MS)
      if (time < 1) flight.request = requestAnimationFrame(step)
      else this.#flight = undefined
      this.#move(time < 1 ? between(from, to, 1 - (1 - time) ** 3) : to)
    }
    const flight = { to, request: requestAnimationFrame(step) }
    this.#flight = flight
    this.#onMove()
  }

  /** The view in which a stage position lies at a point of the screen, as near as the limits allow. */
  placing(stage: PointUm, screen: ScreenPoint, changes: Changes = {}): View {
    const umPerPx = this.#clamped(changes.umPerPx ?? this.#view.umPerPx)
    return this.#limited(this.frame.placing(stage, screen, { ...changes, umPerPx }))
  }

  /** Zoom by a factor; what is at that point of the screen stays there. A step during a flight goes on from where that leads. */
  zoomBy(factor: number, screen = this.frame.middle): void {
    const from = new ViewFrame(this.destination, this.#width, this.#height)
    const umPerPx = this.#clamped(from.umPerPx / factor)
    this.flyTo(from.placing(from.toStage(screen), screen, { umPerPx }))
  }

  /** The view in which a rectangle of the stage just fits. */
  fitting({ x0, y0, x1, y1 }: Rect, { top, right, bottom, left }: Insets): View {
    const width = Math.max(1, this.#width - left - right)
    const height = Math.max(1, this.#height - top - bottom)
    const umPerPx = this.#clamped(fittingUmPerPx(x1 - x0, y1 - y0, this.#view.rotation, width, height))
    const centerUm = { x: (x0 + x1) / 2, y: (y0 + y1) / 2 }
    return this.frame.placing(centerUm, { left: left + width / 2, top: top + height / 2 }, { umPerPx })
  }

  #clamped(umPerPx: number): number {
    return Math.min(this.#limits.maxUmPerPx, Math.max(this.#limits.minUmPerPx, umPerPx))
  }

  #limited({ centerUm, umPerPx, rotation, yUp }: View): View {
    const { x0, y0, x1, y1 } = this.#limits.areaUm
    return {
      centerUm: { x: Math.min(x1, Math.max(x0, centerUm.x)), y: Math.min(y1, Math.max(y0, centerUm.y)) },
      umPerPx: this.#clamped(umPerPx),
      rotation: ((rotation % 360) + 360) % 360,
      yUp,
    }
  }

  #move(view: View): void {
    this.#view = view
    this.#onMove()
  }

  #stop(): void {
    if (this.#flight) cancelAnimationFrame(this.#flight.request)
    this.#flight = undefined
  }
}

/** µm per px at which a turned rectangle of the stage just fits into so many px. */
export function fittingUmPerPx(
  widthUm: number,
  heightUm: number,
  rotation: number,
  width: number,
  height: number,
): number {
  const cos = Math.abs(Math.cos((rotation * Math.PI) / 180))
  const sin = Math.abs(Math.sin((rotation * Math.PI) / 180))
  return Math.max((cos * widthUm + sin * heightUm) / width, (sin * widthUm + cos * heightUm) / height)
}

/** A view on the way. Zooms are even to the eye, and what two views show at the same place stays there meanwhile. */
function between(from: View, to: View, share: number): View {
  const umPerPx = from.umPerPx * (to.umPerPx / from.umPerPx) ** share
  const change = to.umPerPx - from.umPerPx
  const moved = Math.abs(change) > 1e-6 * from.umPerPx ? (umPerPx - from.umPerPx) / change : share
  const turn = ((to.rotation - from.rotation + 540) % 360) - 180
  return {
    centerUm: {
      x: from.centerUm.x + (to.centerUm.x - from.centerUm.x) * moved,
      y: from.centerUm.y + (to.centerUm.y - from.centerUm.y) * moved,
    },
    umPerPx,
    rotation: (from.rotation + turn * share + 360) % 360,
    yUp: to.yUp,
  }
}
