import { make, makeButton } from '../parts/make.js'
import { formatLength, formatNumber, formatSquare } from '../parts/number-format.js'
import type { PointUm, Window } from '../server/pyramid-api.js'
import { areaUm2, boxOf, lengthUm, perimeterUm } from './measurement-geometry.js'
import type { ListedMeasurement } from './measurement-list.js'
import { ProfileView } from './profile-view.js'
import { RegionView } from './region-view.js'
import type { ShownPlanes } from './shown-channels.js'

export interface DetailsListener {
  renamed(id: number, name: string): void
  /** A place on the measurement that is pointed at in its profile. */
  pointed(point: PointUm | undefined): void
  /** Windows that suit what a region holds, by channel. */
  contrastFound(windows: ReadonlyMap<number, Window>): void
}

/** What was not looked at for so long is read anew: a drag would ask for each of its steps. */
const READ_AFTER_MS = 120

/** Below the selected measurement: its name, its numbers, and what lies under it. */
export class MeasurementDetails {
  readonly root = make('div', { class: 'details' })
  readonly #name = make('input', { name: 'measurement-name', autocomplete: 'off', maxlength: '100' })
  readonly #facts = make('dl', { class: 'facts' })
  readonly #profileButton: HTMLButtonElement
  readonly #profile: ProfileView
  readonly #region: RegionView
  #item: ListedMeasurement | undefined
  #planes: ShownPlanes | undefined
  #isProfileOpen = false
  #timer: number | undefined
  #shown = ''

  constructor(listener: DetailsListener) {
    this.#profile = new ProfileView(share => listener.pointed(share === undefined ? undefined : this.#placeAt(share)))
    this.#region = new RegionView(windows => listener.contrastFound(windows))
    this.#profileButton = makeButton('Line profile', () => this.#openProfile(!this.#isProfileOpen))
    this.#name.addEventListener('change', () => {
      if (this.#item) listener.renamed(this.#item.id, this.#name.value.trim() || this.#item.name)
    })
    const field = make('label', { class: 'name-field' }, 'Name', this.#name)
    this.root.append(field, this.#facts, this.#profileButton, this.#profile.root, this.#region.root)
  }

  /** @param planes what is looked at; undefined while nothing is. */
  show(item: ListedMeasurement, planes: ShownPlanes | undefined): void {
    if (item.id !== this.#item?.id) this.#openProfile(false)
    this.#item = item
    this.#planes = planes
    if (document.activeElement !== this.#name) this.#name.value = item.name
    this.#facts.replaceChildren(
      ...factsOf(item).map(([term, value]) => make('div', {}, make('dt', { text: term }), make('dd', { text: value }))),
    )
    this.#profileButton.hidden = item.kind !== 'length'
    this.#region.root.hidden = item.kind !== 'region'
    this.#readSoon()
  }

  /** What could not be read before may be there now. */
  readAgain(): void {
    this.#readSoon()
  }

  #openProfile(open: boolean): void {
    this.#isProfileOpen = open
    this.#profile.root.hidden = !open
    this.#profileButton.setAttribute('aria-expanded', String(open))
    this.#shown = ''
    if (open) this.#readSoon()
  }

  /** Read what lies under the measurement, unless that is what is shown. */
  #readSoon(): void {
    const item = this.#item
    const planes = this.#planes
    if (!item || !planes || !(item.kind === 'region' || (item.kind === 'length' && this.#isProfileOpen))) return
    const { slice, channels, growths } = planes
    const { pyramid } = planes.store
    const what = JSON.stringify([item.points, slice, channels, pyramid.id, pyramid.version, growths])
    if (what === this.#shown) return
    this.#shown = what
    clearTimeout(this.#timer)
    this.#timer = setTimeout(async () => {
      const wasAnswered =
        item.kind === 'region'
          ? await this.#region.show(planes, boxOf(item.points))
          : await this.#profile.show(planes, item.points as [PointUm, PointUm])
      if (!wasAnswered && what === this.#shown) this.#shown = ''
    }, READ_AFTER_MS)
  }

  #placeAt(share: number): PointUm | undefined {
    const [from, to] = this.#item?.points ?? []
    return from && to && { x: from.x + share * (to.x - from.x), y: from.y + share * (to.y - from.y) }
  }
}

function factsOf({ kind, points }: ListedMeasurement): readonly (readonly [string, string])[] {
  if (kind === 'length') {
    const [from, to] = points as [PointUm, PointUm]
    const [dx, dy] = [to.x - from.x, to.y - from.y]
    return [
      ['length', formatLength(lengthUm(points))],
      ['direction', `${formatNumber((Math.atan2(dy, dx) * 180) / Math.PI, 1)}°`],
      ['along x', formatLength(dx)],
      ['along y', formatLength(dy)],
    ]
  }
  if (kind === 'area') {
    return [
      ['area', formatSquare(areaUm2(points))],
      ['perimeter', formatLength(perimeterUm(points))],
    ]
  }
  const { w, h } = boxOf(points)
  return [
    ['width', formatLength(w)],
    ['height', formatLength(h)],
  ]
}
