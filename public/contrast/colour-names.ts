import { COLOUR_MAP_NAMES, type Colours, isHexColour } from '../../src/render/colour-maps.js'

/** Plain colours of a channel that have a name: the usual ones of channels, and the corners of the colour cube. */
export const PLAIN_COLOURS: readonly (readonly [colour: `#${string}`, name: string])[] = [
  ['#3d8bff', 'Blue'],
  ['#80d8ff', 'Sky'],
  ['#7bd88f', 'Green'],
  ['#f5ea6b', 'Yellow'],
  ['#ffb040', 'Amber'],
  ['#f0561d', 'Vermilion'],
  ['#d84040', 'Red'],
  ['#d67bff', 'Violet'],
  ['#ffffff', 'White'],
  ['#ff0000', 'Pure red'],
  ['#00ff00', 'Pure green'],
  ['#0000ff', 'Pure blue'],
  ['#00ffff', 'Cyan'],
  ['#ff00ff', 'Magenta'],
  ['#ffff00', 'Pure yellow'],
  ['#ff9a1f', 'Orange'],
]

/** Maps by the name they are shown under. */
export const COLOUR_MAPS = COLOUR_MAP_NAMES.map(
  name => [name, (name[0] as string).toUpperCase() + name.slice(1).replace('-', '–')] as const,
)

/** What colours are called: `Magma`, `Blue–red`, `Orange`, `#12ab9f`. */
export function nameOfColours(colours: Colours): string {
  const known: readonly (readonly [Colours, string])[] = isHexColour(colours) ? PLAIN_COLOURS : COLOUR_MAPS
  return known.find(([known]) => known === colours)?.[1] ?? colours
}
