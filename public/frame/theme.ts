import { keptByBrowser } from '../parts/kept.js'
import type { PictureColours, Rgb } from '../picture/picture-layer.js'

type Theme = 'dark' | 'light'

const THEME_KEY = 'tilestage-theme'

/** The colours that the picture shares with the page's style sheet. */
export function themeColours(): PictureColours {
  const style = getComputedStyle(document.documentElement)
  const rgb = (name: string): Rgb => {
    const hex = style.getPropertyValue(name).trim().slice(1)
    return [0, 2, 4].map(offset => Number.parseInt(hex.slice(offset, offset + 2), 16) / 255) as Rgb
  }
  return { void: rgb('--void'), edge: rgb('--edge') }
}

/**
 * What the address asks for (`theme=light`), else what was chosen here before, else dark: the picture is looked at, not the
 * frame around it.
 */
export function applyTheme(): void {
  const wanted = new URLSearchParams(location.search).get('theme') ?? keptByBrowser.get(THEME_KEY)
  document.documentElement.dataset.theme = wanted === 'light' ? 'light' : 'dark'
}

/** A button that changes between light and dark. @param changed the page has its new colours. */
export function offerThemes(button: HTMLButtonElement, changed: () => void): void {
  const root = document.documentElement
  const showState = (): void => button.setAttribute('aria-pressed', String(root.dataset.theme === 'light'))
  showState()
  button.addEventListener('click', () => {
    const theme: Theme = root.dataset.theme === 'light' ? 'dark' : 'light'
    keptByBrowser.set(THEME_KEY, theme)
    // What the address asks for would win over the choice when the page is loaded again.
    const url = new URL(location.href)
    if (url.searchParams.has('theme')) {
      url.searchParams.set('theme', theme)
      history.replaceState(history.state, '', url)
    }
    root.dataset.theme = theme
    showState()
    changed()
  })
}
