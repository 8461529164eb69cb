import { element } from '../parts/element.js'
import { useToken } from '../server/pyramid-api.js'

/** Asks for the token that the server printed at its start. */
export class TokenDialog {
  readonly #dialog: HTMLDialogElement
  readonly #field: HTMLInputElement
  #again: () => void = () => {}

  constructor(dialog: HTMLDialogElement) {
    this.#dialog = dialog
    this.#field = element(dialog, 'input', HTMLInputElement)
    element(dialog, 'form', HTMLFormElement).addEventListener('submit', () => this.#use())
    element(dialog, '.cancel', HTMLButtonElement).addEventListener('click', () => dialog.close())
  }

  /** @param again what was refused, done with the token that is entered. */
  open(again: () => void): void {
    this.#again = again
    this.#field.value = ''
    this.#dialog.showModal()
  }

  #use(): void {
    // A token printed as a part of an address may be pasted with what stands before it.
    const token = this.#field.value.trim().replace(/^.*token=/, '')
    if (token === '') return
    useToken(token)
    this.#again()
  }
}
