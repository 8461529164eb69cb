import type { PictureColours, Rgb } from '../picture/picture-layer.js'

/** The colours that the picture shares with the page's style sheet. */
export function themeColours(): PictureColours {
  const style = getComputedStyle(document.documentElement)
  const rgb = (name: string): Rgb => {
    const hex = style.getPropertyValue(name).trim().slice(1)
    return [0, 2, 4].map(offset => Number.parseInt(hex.slice(offset, offset + 2), 16) / 255) as Rgb
  }
  return { void: rgb('--void'), edge: rgb('--edge') }
}

/** Dark unless the page's URL asks for `theme=light`: the picture is looked at, not the frame around it. */
export function applyTheme(): void {
  document.documentElement.dataset.theme =
    new URLSearchParams(location.search).get('theme') === 'light' ? 'light' : 'dark'
}
