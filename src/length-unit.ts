/** Units of length as files spell them, and how many µm they are. */
const UNITS_UM: ReadonlyMap<string, number> = new Map([
  ...['m', 'meter', 'meters', 'metre', 'metres'].map(name => [name, 1e6] as const),
  ...['cm', 'centimeter', 'centimetre'].map(name => [name, 1e4] as const),
  ...['mm', 'millimeter', 'millimeters', 'millimetre', 'millimetres'].map(name => [name, 1e3] as const),
  // The micro sign, and the Greek letter that looks the same.
  ...['um', '\u00b5m', '\u03bcm', 'micron', 'microns', 'micrometer', 'micrometers', 'micrometre'].map(
    name => [name, 1] as const,
  ),
  ...['nm', 'nanometer', 'nanometers', 'nanometre', 'nanometres'].map(name => [name, 1e-3] as const),
  ...['pm', 'picometer', 'picometre'].map(name => [name, 1e-6] as const),
  ...['angstrom', 'angstroms', 'ang', '\u00c5', '\u212b'].map(name => [name.toLowerCase(), 1e-4] as const),
])

/** How many µm a unit of length is; undefined of what is no unit of length. */
export function lengthUnitUm(unit: string): number | undefined {
  return UNITS_UM.get(unit.trim().toLowerCase())
}

/** An image of smaller or larger pixels is none of a microscope: a picometre, and a decimetre. */
export const PLAUSIBLE_PIXELS_UM = [1e-6, 1e5] as const

/** Whether pixels of that edge, µm, may be those of a microscope. */
export function isPlausiblePixel(um: number): boolean {
  return um >= PLAUSIBLE_PIXELS_UM[0] && um <= PLAUSIBLE_PIXELS_UM[1]
}
