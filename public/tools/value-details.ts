import { SAMPLE_TYPES } from '../../src/plane.js'
import { copyText } from '../parts/copy-text.js'
import { element } from '../parts/element.js'
import { make } from '../parts/make.js'
import { formatCoordinate, formatSample } from '../parts/number-format.js'
import type { Slice } from '../picture/look.js'
import { nameOfAxis, nameOfPlane } from '../picture/plane-names.js'
import { readValue, type ValueReply } from '../server/measure-api.js'
import { ApiError, type PointUm, type PyramidInfo, reasonOf } from '../server/pyramid-api.js'
import { nameFrames } from './provenance.js'

type ChannelValue = ValueReply['channels'][number]

/** Names and values of what is known of a level-0 pixel. */
type FactsAt = (pixel: PointUm) => Promise<readonly (readonly [string, string])[]>

/** Everything about one place: position, each channel as stored and above dark, and the frames that it comes from. */
export class ValueDetails {
  readonly #root: HTMLElement
  readonly #body: HTMLElement
  readonly #copy: HTMLButtonElement
  readonly #othersAt: FactsAt
  #text = ''
  #opening = 0
  #openedFrom: Element | null = null

  /** @param othersAt what else is known of a place. */
  constructor(root: HTMLElement, othersAt: FactsAt) {
    this.#root = root
    this.#othersAt = othersAt
    this.#body = element(root, '.body', HTMLElement)
    this.#copy = element(root, '.copy', HTMLButtonElement)
    this.#copy.addEventListener('click', () => void copyText(this.#text, this.#copy))
    element(root, '.close', HTMLButtonElement).addEventListener('click', () => this.close())
    root.addEventListener('keydown', event => {
      if (event.key === 'Escape') this.close()
      event.stopPropagation()
    })
    document.addEventListener('pointerdown', ({ target }) => {
      if (!root.hidden && target instanceof Node && !root.contains(target)) this.close()
    })
  }

  /** @param pixel of level 0. */
  async open(pyramid: PyramidInfo, slice: Slice, pixel: PointUm): Promise<void> {
    const opening = ++this.#opening
    if (this.#root.hidden) this.#openedFrom = document.activeElement
    try {
      const [reply, others] = await Promise.all([readValue(pyramid, slice, pixel), this.#othersAt(pixel)])
      if (opening !== this.#opening) return
      this.#fill(pyramid, slice, reply, others)
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof TypeError) || opening !== this.#opening) return
      this.#text = ''
      this.#body.replaceChildren(make('p', { text: reasonOf(error) }))
    }
    this.#copy.hidden = this.#text === ''
    this.#root.hidden = false
    this.#root.focus()
  }

  close(): void {
    this.#opening++
    const hadFocus = this.#root.contains(document.activeElement)
    this.#root.hidden = true
    if (hadFocus && this.#openedFrom instanceof HTMLElement) this.#openedFrom.focus()
  }

  #fill(
    pyramid: PyramidInfo,
    { zPlane, timePoint }: Slice,
    reply: ValueReply,
    others: readonly (readonly [string, string])[],
  ): void {
    const { integer } = SAMPLE_TYPES[pyramid.sampleType]
    const { centreUm, pixel, well, channels } = reply
    const place: [string, string][] = [
      ['position', `${formatCoordinate(centreUm.x, 0)}, ${formatCoordinate(centreUm.y, 0)}`],
      ['pixel', `${pixel.x}, ${pixel.y}`],
    ]
    if (well) place.push(['well', well])
    if (pyramid.zPlanes > 1) place.push([nameOfAxis(pyramid, 'zPlane'), nameOfPlane(pyramid, 'zPlane', zPlane)])
    if (pyramid.timePoints > 1)
      place.push([nameOfAxis(pyramid, 'timePoint'), nameOfPlane(pyramid, 'timePoint', timePoint)])
    const facts = make('dl', { class: 'facts' })
    for (const [term, value] of [...place, ...others])
      facts.append(make('div', {}, make('dt', { text: term }), make('dd', { text: value })))
    const known = (value: number | null): string => (value === null ? '–' : formatSample(value, integer))
    const heading = make('tr', {})
    for (const title of ['Channel', 'Stored', 'Above dark', 'From', 'Stage reported']) {
      heading.append(make('th', { scope: 'col', text: title }))
    }
    const rows = channels.map(channel =>
      make(
        'tr',
        {},
        make('td', { text: channel.name }),
        make('td', { class: 'number', text: known(channel.stored) }),
        make('td', { class: 'number', text: known(channel.counts) }),
        make('td', { text: sourceOf(channel) }),
        make('td', { text: stageOf(channel, ({ x, y }) => `${formatCoordinate(x, 0)}, ${formatCoordinate(y, 0)}`) }),
      ),
    )
    const table = make('table', {}, make('thead', {}, heading), make('tbody', {}, ...rows))
    this.#body.replaceChildren(facts, make('div', { class: 'scroll' }, table))
    this.#text = plainText(pyramid, { zPlane, timePoint }, reply) + others.map(fact => `${fact.join(': ')}\n`).join('')
  }
}

function sourceOf({ covered, frames }: ChannelValue): string {
  if (!covered) return 'no frame here'
  return frames && frames.length > 0 ? nameFrames(frames) : '–'
}

function stageOf({ frames }: ChannelValue, format: (place: PointUm) => string): string {
  const places = (frames ?? []).map(({ stageUm }) => stageUm && format(stageUm)).filter(text => text !== null)
  return places.length === 0 ? '–' : [...new Set(places)].join(' + ')
}

/** The same in full precision and plain ASCII. */
function plainText(
  pyramid: PyramidInfo,
  { zPlane, timePoint }: Slice,
  { centreUm, pixel, well, channels }: ValueReply,
) {
  const lines = [
    `pyramid: ${pyramid.name}`,
    `x_um: ${centreUm.x}`,
    `y_um: ${centreUm.y}`,
    `pixel: ${pixel.x} ${pixel.y}`,
    ...(well ? [`well: ${well}`] : []),
    `z: ${zPlane}`,
    `t: ${timePoint}`,
  ]
  for (const { name, stored, counts, frames } of channels) {
    lines.push(`${name}: stored ${stored ?? 'none'}, above dark ${counts ?? 'none'}`)
    for (const { series, frame, stageUm } of frames ?? []) {
      lines.push(`  from ${series}, frame ${frame}${stageUm ? `, stage ${stageUm.x} ${stageUm.y} um` : ''}`)
    }
  }
  return `${lines.join('\n')}\n`
}
