import type { PointUm } from '../server/pyramid-api.js'
import type { Measurement } from './tools-state.js'
import type { UndoStack } from './undo-stack.js'

/** A measurement of the list; its id is never given again. */
export interface ListedMeasurement extends Measurement {
  readonly id: number
}

/** More would be neither seen nor kept in a link. */
const MAX_MEASUREMENTS = 1000

const NAMES = { length: 'Length', area: 'Area', region: 'Region' } as const

/** The measurements of the page, one of which may be selected. Every change of them can be undone. */
export class MeasurementList {
  readonly #undo: UndoStack
  readonly #onChange: () => void
  #items: readonly ListedMeasurement[] = []
  #selectedId: number | undefined
  #nextId = 1

  constructor(undo: UndoStack, onChange: () => void) {
    this.#undo = undo
    this.#onChange = onChange
  }

  get items(): readonly ListedMeasurement[] {
    return this.#items
  }

  get selected(): ListedMeasurement | undefined {
    return this.get(this.#selectedId)
  }

  get(id: number | undefined): ListedMeasurement | undefined {
    return this.#items.find(item => item.id === id)
  }

  /** Add and select. @returns its id. */
  add(kind: Measurement['kind'], points: readonly PointUm[]): number {
    this.remember()
    const id = this.#nextId++
    const items = [...this.#items, { id, kind, points, name: this.#nextName(kind) }]
    this.#selectedId = id
    this.#set(items.slice(-MAX_MEASUREMENTS))
    return id
  }

  /** Another step of a drag: what was before the drag is to be remembered once. */
  change(id: number, part: Partial<Measurement>): void {
    this.#set(this.#items.map(item => (item.id === id ? { ...item, ...part } : item)))
  }

  /** A length becomes an area with its third corner. */
  addCorner(id: number, corner: PointUm): void {
    const item = this.get(id)
    if (!item) return
    this.remember()
    const name = item.kind === 'length' ? this.#nextName('area') : item.name
    this.change(id, { kind: 'area', points: [...item.points, corner], name })
  }

  rename(id: number, name: string): void {
    this.remember()
    this.change(id, { name })
  }

  remove(id: number): void {
    this.remember()
    this.#set(this.#items.filter(item => item.id !== id))
  }

  clear(): void {
    this.remember()
    this.#set([])
  }

  select(id: number | undefined): void {
    if (id === this.#selectedId) return
    this.#selectedId = id
    this.#onChange()
  }

  /** Take over those of a link. */
  restore(measurements: readonly Measurement[]): void {
    this.#selectedId = undefined
    this.#set(measurements.slice(0, MAX_MEASUREMENTS).map(item => ({ ...item, id: this.#nextId++ })))
  }

  /** The next change can be undone. */
  remember(): void {
    const before = this.#items
    this.#undo.push(() => this.#set(before), this)
  }

  #nextName(kind: Measurement['kind']): string {
    return `${NAMES[kind]} ${this.#items.filter(item => item.kind === kind).length + 1}`
  }

  #set(items: readonly ListedMeasurement[]): void {
    this.#items = items
    this.#onChange()
  }
}
