import { type Colours, isHexColour } from '../../src/render/colour-maps.js'
import { Choice } from '../parts/choice.js'
import { element } from '../parts/element.js'
import { COLOUR_MAPS, nameOfColours, PLAIN_COLOURS } from './colour-names.js'
import { paintColours } from './colour-strip.js'
import type { Contrast } from './contrast.js'

export interface ColoursMenuListener {
  coloursChosen(colours: Colours): void
  stretchChosen(stretch: Contrast['stretch']): void
  smoothChosen(smooth: boolean): void
}

const STRETCH_NAMES = { linear: '', sqrt: 'root', log: 'log' } as const
const GAP_PX = 4

/** Colours, stretch and interpolation: what is chosen once, one click away. */
export class ColoursMenu {
  readonly #button: HTMLButtonElement
  readonly #swatch: HTMLCanvasElement
  readonly #name: HTMLElement
  readonly #stretchName: HTMLElement
  readonly #menu: HTMLElement
  readonly #custom: HTMLInputElement
  readonly #colours: Choice<Colours>
  readonly #stretch: Choice<Contrast['stretch']>
  readonly #pixels: Choice<'nearest' | 'smooth'>

  constructor(root: HTMLElement, listener: ColoursMenuListener) {
    this.#button = element(root, '#colour-map', HTMLButtonElement)
    this.#swatch = element(this.#button, 'canvas', HTMLCanvasElement)
    this.#name = element(this.#button, '.name', HTMLElement)
    this.#stretchName = element(this.#button, '.stretch-name', HTMLElement)
    this.#menu = element(root, '#colours-menu', HTMLElement)
    this.#custom = element(this.#menu, 'input[type=color]', HTMLInputElement)
    const choices = element(this.#menu, '.choices', HTMLElement)
    element(choices, '.maps', HTMLElement).append(...COLOUR_MAPS.map(([value, name]) => colourChoice(value, name)))
    element(choices, '.plain', HTMLElement).append(...PLAIN_COLOURS.map(([value, name]) => colourChoice(value, name)))
    this.#colours = new Choice(choices, colours => listener.coloursChosen(colours))
    this.#stretch = new Choice(element(this.#menu, '.stretch', HTMLElement), value => listener.stretchChosen(value))
    this.#pixels = new Choice(element(this.#menu, '.pixels', HTMLElement), value =>
      listener.smoothChosen(value === 'smooth'),
    )
    this.#custom.addEventListener('input', () => listener.coloursChosen(this.#custom.value as Colours))
    this.#menu.addEventListener('beforetoggle', event => {
      const isOpen = (event as ToggleEvent).newState === 'open'
      this.#button.setAttribute('aria-expanded', String(isOpen))
    })
    this.#menu.addEventListener('toggle', event => {
      if ((event as ToggleEvent).newState === 'open') this.#place()
    })
  }

  show(contrast: Contrast, smooth: boolean): void {
    const { colours, stretch } = contrast
    paintColours(this.#swatch, contrast)
    this.#name.textContent = nameOfColours(colours)
    this.#stretchName.textContent = STRETCH_NAMES[stretch]
    this.#colours.show(colours)
    this.#stretch.show(stretch)
    this.#pixels.show(smooth ? 'smooth' : 'nearest')
    if (isHexColour(colours)) this.#custom.value = colours
  }

  /** Below its button, or above where there is more room. */
  #place(): void {
    const { left, right, top, bottom } = this.#button.getBoundingClientRect()
    const { offsetWidth: width, offsetHeight: height } = this.#menu
    const below = bottom + GAP_PX
    const fitsBelow = below + height <= innerHeight
    this.#menu.style.left = `${Math.max(GAP_PX, Math.min(left, right - width, innerWidth - width - GAP_PX))}px`
    this.#menu.style.top = `${fitsBelow ? below : Math.max(GAP_PX, top - GAP_PX - height)}px`
  }
}

function colourChoice(value: Colours, name: string): HTMLElement {
  const label = document.createElement('label')
  const radio = document.createElement('input')
  radio.type = 'radio'
  radio.name = 'colours'
  radio.value = value
  if (isHexColour(value)) {
    radio.ariaLabel = name
    label.title = name
    label.style.setProperty('--colour', value)
    label.append(radio)
    return label
  }
  const strip = document.createElement('canvas')
  paintColours(strip, { colours: value, inverted: false })
  label.append(radio, strip, name)
  return label
}
