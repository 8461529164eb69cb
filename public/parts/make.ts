/** An element with attributes and children; `text` is its text, an empty attribute is set, an undefined one is not. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | undefined>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) continue
    if (name === 'text') made.textContent = value
    else made.setAttribute(name, value)
  }
  made.append(...children)
  return made
}

/** A button with words, and what it does. */
export function makeButton(label: string, run: (button: HTMLButtonElement) => void): HTMLButtonElement {
  const button = make('button', { type: 'button', class: 'button', text: label })
  button.addEventListener('click', () => run(button))
  return button
}
