import { decimal } from '../../decimal.js'
import { isPlausiblePixel, lengthUnitUm } from '../../length-unit.js'
import type { ImageScale } from '../layered-image.js'

/** What a `.rpl` file says of lengths and energies, beside how samples are stored. */
export interface RawCalibration {
  /** Undefined where lengths are not known. */
  readonly scale: ImageScale | undefined
  /** Of each channel; undefined where they are not known. */
  readonly energiesKeV: readonly number[] | undefined
  /** Sentences about what was not taken. */
  readonly problems: readonly string[]
}

const ENERGY_UNITS_KEV: ReadonlyMap<string, number> = new Map([
  ['ev', 1e-3],
  ['kev', 1],
])
/** What programs write where they know of no unit. */
const NO_UNIT = /^(<?undefined>?|none|px|pixels?)?$/i

/**
 * Understand the keys by which programs note what pixels and channels are: `width-scale`, `-units` and `-origin`, the same of
 * `height` and `depth`, and `ev-per-chan`.
 *
 * @param depth channels of a spectrum. @param unitUm what lengths are measured in, instead of what the file says.
 */
export function calibrateRaw(
  keys: Readonly<Record<string, string>>,
  depth: number,
  unitUm: number | undefined,
): RawCalibration {
  const problems: string[] = []
  const scale = readScale(keys, unitUm, problems)
  return { scale, energiesKeV: readEnergies(keys, depth), problems }
}

function readScale(
  keys: Readonly<Record<string, string>>,
  unitUm: number | undefined,
  problems: string[],
): ImageScale | undefined {
  const [x, y] = [readAxis(keys, 'width'), readAxis(keys, 'height')]
  if (x.text === undefined && y.text === undefined) return undefined
  const said = `Its pixels are ${x.text ?? 'of no width'} × ${y.text ?? 'of no height'}`
  // One unit that was left out is that of the other axis.
  const [unitX, unitY] = [x.unit || y.unit, y.unit || x.unit]
  const [umX, umY] = [unitUm ?? lengthUnitUm(unitX), unitUm ?? lengthUnitUm(unitY)]
  if (umX === undefined || umY === undefined) {
    const isPlain = NO_UNIT.test(unitX) && NO_UNIT.test(unitY) && [x.step, y.step].every(step => step === 1)
    const reason = 'which is no size in a unit of length, so that only pixels are known; --unit says what the unit is.'
    if (!isPlain) problems.push(`${said}, ${reason}`)
    return undefined
  }
  const pixelSizeUm = { x: decimal(x.step * umX), y: decimal(y.step * umY) }
  if (!isPlausiblePixel(pixelSizeUm.x) || !isPlausiblePixel(pixelSizeUm.y)) {
    problems.push(`${said}, which is implausible, so that only pixels are known; --pixel-size says how large they are.`)
    return undefined
  }
  return { pixelSizeUm, originUm: { x: decimal(x.origin * umX), y: decimal(y.origin * umY) } }
}

function readEnergies(keys: Readonly<Record<string, string>>, depth: number): number[] | undefined {
  const { step, unit, origin } = readAxis(keys, 'depth')
  const keV = ENERGY_UNITS_KEV.get(unit.toLowerCase())
  const eachEv = Number(keys['ev-per-chan'] ?? Number.NaN)
  const [first, each] = keV !== undefined && step > 0 ? [origin * keV, step * keV] : [0, eachEv / 1000]
  if (!(each > 0 && each < Number.POSITIVE_INFINITY)) return undefined
  return Array.from({ length: depth }, (_, channel) => decimal(first + channel * each))
}

/** `step` is NaN where it is not said, or no number; `origin` is 0 then. */
function readAxis(
  keys: Readonly<Record<string, string>>,
  axis: string,
): { readonly text: string | undefined; readonly step: number; readonly origin: number; readonly unit: string } {
  const { [`${axis}-scale`]: scale, [`${axis}-units`]: unit = '', [`${axis}-origin`]: origin } = keys
  const start = Number(origin ?? 0)
  return {
    text: scale === undefined ? undefined : `${scale}${unit ? ` ${unit}` : ''}`,
    step: Number(scale ?? Number.NaN),
    origin: Number.isFinite(start) ? start : 0,
    unit,
  }
}
