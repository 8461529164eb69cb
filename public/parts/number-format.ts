/** Numbers as the page shows them: thin no-break spaces, a point for decimals, a true minus. */

/** Thin no-break space: between thousands and before units. */
export const THIN_SPACE = '\u202f'
const MINUS = '\u2212'

/** Group thousands and fix the decimals: `10 212.4`, `−3`. A value that rounds to zero has no sign. */
export function formatNumber(value: number, decimals = 0): string {
  const [whole = '', fraction] = Math.abs(value).toFixed(decimals).split('.')
  const digits = whole.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE) + (fraction === undefined ? '' : `.${fraction}`)
  return value < 0 && /[1-9]/.test(digits) ? MINUS + digits : digits
}

/** Round to significant digits, without an exponent: `9.37`, `0.0125`, `12 400`. */
export function formatSignificant(value: number, digits: number): string {
  if (value === 0 || !Number.isFinite(value)) return formatNumber(value)
  const rounded = Number(value.toPrecision(digits))
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(rounded)))
  return formatNumber(rounded, Math.min(20, Math.max(0, decimals)))
}

/** A number as short as four significant digits allow: `−1.5`, `0.0333`. */
export function formatShort(value: number): string {
  return `${Number(value.toPrecision(4))}`.replaceAll('-', MINUS)
}

/** Whether lengths are known at all: of a pyramid whose pixel size nobody told, "µm" are pixels. */
let isCalibrated = true

/** What lengths on this page are in from now on; it shows one pyramid at a time. */
export function showLengthsIn(unit: 'µm' | 'px'): void {
  isCalibrated = unit === 'µm'
}

/** Smaller pixels are told in nm. */
const NANO_PIXEL_UM = 0.01
/** Below this, stages do not reach; electron and probe microscopes count in nm. */
const NANOSCOPE_UM_PER_PX = 5e-4

/** A coordinate in µm (in nm where pixels are that small), with as many decimals as one screen pixel can tell apart. */
export function formatCoordinate(um: number, umPerPx: number): string {
  const isNano = isCalibrated && umPerPx > 0 && umPerPx < NANOSCOPE_UM_PER_PX
  const perPx = isNano ? 1000 * umPerPx : umPerPx
  const decimals = perPx < 0.05 ? 2 : perPx < 5 ? 1 : 0
  if (!isCalibrated) return `${formatNumber(um, umPerPx < 0.5 ? 1 : 0)}${THIN_SPACE}px`
  return `${formatNumber(isNano ? 1000 * um : um, decimals)}${THIN_SPACE}${isNano ? 'nm' : 'µm'}`
}

interface LengthUnit {
  readonly name: 'nm' | 'µm' | 'mm' | 'px'
  readonly um: number
}

/** The unit a length of `um` is shown in: nm below 1 µm, mm from 1 000 µm. */
export function lengthUnit(um: number): LengthUnit {
  if (!isCalibrated) return { name: 'px', um: 1 }
  const size = Math.abs(um)
  if (size >= 1000) return { name: 'mm', um: 1000 }
  return size < 1 ? { name: 'nm', um: 0.001 } : { name: 'µm', um: 1 }
}

/** A length with its unit and three significant digits: `94.8 µm`, `325 nm`, `9.37 mm`. */
export function formatLength(um: number): string {
  const unit = lengthUnit(um)
  return `${formatSignificant(um / unit.um, 3)}${THIN_SPACE}${unit.name}`
}

/** Width × height in the unit of the larger one: `9.37 × 9.37 mm`. */
export function formatArea(widthUm: number, heightUm: number): string {
  const unit = lengthUnit(Math.max(widthUm, heightUm))
  const sides = [widthUm, heightUm].map(um => formatSignificant(um / unit.um, 3))
  return `${sides.join(' × ')}${THIN_SPACE}${unit.name}`
}

/** What an area measures, three significant digits: `1 240 µm²`, `9.37 mm²`. */
export function formatSquare(um2: number): string {
  if (!isCalibrated) return `${formatSignificant(um2, 3)}${THIN_SPACE}px²`
  const [value, unit] = um2 >= 1e6 ? [um2 / 1e6, 'mm²'] : um2 < 1e-2 ? [um2 * 1e6, 'nm²'] : [um2, 'µm²']
  return `${formatSignificant(value, 3)}${THIN_SPACE}${unit}`
}

/** A resolution in µm unless it is far below, three significant digits: `0.260 µm`. */
export function formatResolution(umPerPx: number): string {
  if (!isCalibrated || umPerPx < NANOSCOPE_UM_PER_PX) return formatLength(umPerPx)
  return `${formatSignificant(umPerPx, 3)}${THIN_SPACE}µm`
}

/** The sides of a pixel in µm, one number where they are equal: `0.325 µm/px`, `0.05 × 0.08 µm/px`. */
export function formatPixelSize(xUm: number, yUm: number): string {
  if (!isCalibrated) return 'pixel size unknown'
  const isNano = Math.max(xUm, yUm) < NANO_PIXEL_UM
  const sides = new Set([xUm, yUm].map(um => `${Number((isNano ? 1000 * um : um).toPrecision(4))}`))
  return `${[...sides].join(' × ')}${THIN_SPACE}${isNano ? 'nm' : 'µm'}/px`
}

/** A floating-point number, with an exponent where zeros would hide its digits: `0.0125`, `3.403e38`. */
export function formatFloat(value: number, digits: number): string {
  const size = Math.abs(value)
  if (size === 0 || (size >= 1e-4 && size < 1e7)) return formatSignificant(value, digits)
  return value
    .toExponential(digits - 1)
    .replace('e+', 'e')
    .replaceAll('-', MINUS)
}

/** A sample as stored: whole counts for integers, four significant digits for floating point. */
export function formatSample(value: number, integer: boolean): string {
  return integer ? formatNumber(value) : formatFloat(value, 4)
}

/** What follows a sample: its unit; without one, integers are counts. */
export function sampleUnit(unit: string | null | undefined, integer: boolean): string {
  return unit ? `${THIN_SPACE}${unit}` : integer ? ' counts' : ''
}

/** A mean of samples: one decimal for integers, four significant digits for floating point. */
export function formatMean(value: number, integer: boolean): string {
  return integer ? formatNumber(value, 1) : formatSignificant(value, 4)
}

/** A share (0 … 1) in per cent with one decimal; what is there but less than that reads `< 0.1 %`. */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.001) return `<${THIN_SPACE}0.1${THIN_SPACE}%`
  return `${formatNumber(share * 100, 1)}${THIN_SPACE}%`
}

/** The size of a file, three significant digits: `842 kB`, `3.12 MB`. */
export function formatBytes(bytes: number): string {
  const [unit, name] = (
    [
      [1e9, 'GB'],
      [1e6, 'MB'],
      [1e3, 'kB'],
    ] as const
  ).find(([size]) => bytes >= size) ?? [1, 'B']
  return `${formatSignificant(bytes / unit, 3)}${THIN_SPACE}${name}`
}

/** How long something will take: `4 s`, `3 min`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${formatNumber(Math.ceil(seconds))}${THIN_SPACE}s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes}${THIN_SPACE}min`
  const rest = minutes % 60 > 0 ? ` ${minutes % 60}${THIN_SPACE}min` : ''
  return `${formatNumber(Math.floor(minutes / 60))}${THIN_SPACE}h${rest}`
}

/** `1 well`, `3 wells`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Read a number as this page writes it or as a keyboard does; `undefined` where it is none. */
export function parseNumber(text: string): number | undefined {
  const plain = text.replace(/\s/g, '').replaceAll(MINUS, '-').replace(',', '.')
  const value = plain === '' ? Number.NaN : Number(plain)
  return Number.isFinite(value) ? value : undefined
}
