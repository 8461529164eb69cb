const MAX_STEPS = 200

interface Step {
  readonly undo: () => void
  readonly owner: object
}

/** What can be taken back, one at a time, newest first. */
export class UndoStack {
  #steps: readonly Step[] = []
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get isEmpty(): boolean {
    return this.#steps.length === 0
  }

  /** @param owner who may forget the step. */
  push(undo: () => void, owner: object): void {
    this.#steps = [...this.#steps, { undo, owner }].slice(-MAX_STEPS)
    this.#onChange()
  }

  undo(): void {
    const last = this.#steps.at(-1)
    this.#steps = this.#steps.slice(0, -1)
    last?.undo()
    this.#onChange()
  }

  /** What an owner has pushed can no longer be taken back. */
  forget(owner: object): void {
    this.#steps = this.#steps.filter(step => step.owner !== owner)
  }
}
