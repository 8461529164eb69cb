/**
 * Colours from hexadecimal stops, five steps of the 256-entry tables apart.
 *
 * Magma, Inferno and Viridis are by S. van der Walt and N. Smith, Cividis is by J. Nuñez, C. Anderton and R. Renslow;
 * all four are in the public domain (CC0). In between, a colour is at most one grey level (Cividis: four) off theirs.
 *
 * Blue-red is for signed data: both arms lead from a light neutral grey in equal steps of OKLab to a dark blue and a dark
 * red of equal lightness, which stay apart for eyes without red, green or blue cones.
 */
const STOPS = {
  grey: '000000ffffff',
  magma:
    '00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c8172' +
    '1f81792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f160' +
    '5df4695cf7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf',
  inferno:
    '00000402020c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e78' +
    '1c6d801f6c88226a902568982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed69' +
    '25f1711ff47918f78212f98b0bfa9407fb9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4',
  viridis:
    '44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31' +
    '688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7' +
    '793dbc7446c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725',
  cividis:
    '00224e002656002a5f002d68003070083370163770203a6f273e6e2e416d34456c3a486c3f4c6c444f6c49536c4e566c535a6d57' +
    '5d6d5c616e60646f656870696b716d6f727272747676767a7a787e7d788381798885788d8878928c789690779b9476a09875a59c' +
    '74aaa073afa471b5a86fbaac6dbfb06bc4b468c9b965cfbd62d4c15fdac65bdfca57e5cf52ead34cf0d846f6dd3ffce236fee838',
  'blue-red':
    '06489c134e9f1d54a22659a42e5fa63664a93e6aab456fad4d75b0547ab25b7fb46384b66a8ab8728fba7994bc8099be889fc08f' +
    'a4c297a9c49fafc6a6b4c8aeb9c9b6becbbdc4cdc5c9ceccced0d0cecccec7c5ccc0becbb9b6c9b2afc7aba8c5a5a0c29e99c097' +
    '92be908bbb8a83b9837cb67c75b3766eb16f67ae6860ab6159a85a52a5534ca24c459e453e9b3e37983630942e299125218d1b19',
} as const

export type ColourMapName = keyof typeof STOPS

export const COLOUR_MAP_NAMES = Object.keys(STOPS) as ColourMapName[]

export const COLOUR_STEPS = 256

/** RGBA bytes of the 256 colours of a map, from the lowest to the highest value. */
export const COLOUR_TABLES = Object.fromEntries(
  COLOUR_MAP_NAMES.map(name => [name, colourTable(STOPS[name])]),
) as Readonly<Record<ColourMapName, Uint8Array>>

/** A map by its name, or the brightest colour of one that begins with black: `#` and six hex digits. */
export type Colours = ColourMapName | `#${string}`

/** RGBA bytes of the 256 colours of a map, from the lowest to the highest value. */
export function coloursOf(colours: Colours): Uint8Array {
  if (!isHexColour(colours)) return COLOUR_TABLES[colours]
  const brightest = bytesOfColour(colours.slice(1))
  const table = new Uint8Array(4 * COLOUR_STEPS).fill(0xff)
  for (let step = 0; step < COLOUR_STEPS; step++) {
    for (let channel = 0; channel < 3; channel++) {
      table[4 * step + channel] = Math.round(((brightest[channel] as number) * step) / (COLOUR_STEPS - 1))
    }
  }
  return table
}

export function isHexColour(colours: Colours): colours is `#${string}` {
  return colours.startsWith('#')
}

/** Red, green and blue of six hex digits. */
export function bytesOfColour(hex: string): Uint8Array {
  return Uint8Array.from([0, 2, 4], offset => Number.parseInt(hex.slice(offset, offset + 2), 16))
}

function colourTable(stops: string): Uint8Array {
  const table = new Uint8Array(4 * COLOUR_STEPS)
  const last = stops.length / 6 - 1
  const part = (stop: number, offset: number): number =>
    Number.parseInt(stops.slice(6 * stop + offset, 6 * stop + offset + 2), 16)
  for (let step = 0; step < COLOUR_STEPS; step++) {
    const position = (step / (COLOUR_STEPS - 1)) * last
    const stop = Math.min(last - 1, Math.floor(position))
    for (let channel = 0; channel < 3; channel++) {
      const from = part(stop, 2 * channel)
      table[4 * step + channel] = Math.round(from + (part(stop + 1, 2 * channel) - from) * (position - stop))
    }
    table[4 * step + 3] = 255
  }
  return table
}
