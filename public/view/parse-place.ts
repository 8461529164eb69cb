import { lengthUnit, THIN_SPACE } from '../parts/number-format.js'
import { parseWellName } from '../plate/well-grid.js'
import type { PointUm, Well } from '../server/pyramid-api.js'

/** What someone typed to go to: a stage position, a well, an image of a stack, or a sentence that says what is wrong. */
export type Place =
  | { readonly stage: PointUm }
  | { readonly well: Well }
  | { readonly item: number }
  | { readonly problem: string }

/** Where nobody knows how large a pixel is, pixels stand for µm. */
const UM_PER_UNIT: Readonly<Record<string, number>> = { nm: 1e-3, um: 1, µm: 1, μm: 1, mm: 1e3, px: 1 }

const UNIT = '(?:nm|um|µm|μm|mm|px)'
const POINT_NUMBER = '[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?'
const ANY_NUMBER = '[+-]?(?:\\d+[.,]?\\d*|[.,]\\d+)(?:e[+-]?\\d+)?'

const pair = (number: string, separator: string): RegExp =>
  new RegExp(
    `^(?:x\\s*[=:]?\\s*)?(${number})\\s*(${UNIT})?(?:${separator})(?:y\\s*[=:]?\\s*)?(${number})\\s*(${UNIT})?$`,
    'i',
  )

/** With spaces between the numbers a comma may stand for the decimals; without, it stands between the numbers. */
const PAIRS = [pair(ANY_NUMBER, '\\s*;\\s*|\\s*,\\s+|\\s+'), pair(POINT_NUMBER, '\\s*,\\s*')]

/**
 * Read `x, y` in µm, other units named, as this page shows it or as a keyboard and a spreadsheet write it; or the name of
 * a well; or `#` and the number of an image.
 *
 * @param itemCount how many images there are; 0 where it is no stack of them.
 */
export function parsePlace(text: string, wells: readonly Well[], itemCount = 0): Place {
  const [, item] = /^\s*#\s*(\d{1,9})\s*$/.exec(text) ?? []
  if (item !== undefined && itemCount > 0) {
    if (Number(item) < itemCount) return { item: Number(item) }
    return { problem: `There is no image ${item}: they are numbered from 0 to ${itemCount - 1}.` }
  }
  const plain = text.trim().replaceAll('\u2212', '-').replace(THOUSANDS, '').replace(/\s+/g, ' ')
  const well = wellNamed(plain, wells)
  if (well) return { well }
  for (const form of PAIRS) {
    const [, x, unitOfX, y, unitOfY] = form.exec(plain) ?? []
    if (x === undefined || y === undefined) continue
    if ([x, y].some(number => /,\d{3}$/.test(number))) {
      return { problem: 'The comma may mean thousands or decimals: write a point for decimals.' }
    }
    const stage = { x: toUm(x, unitOfX ?? unitOfY), y: toUm(y, unitOfY ?? unitOfX) }
    if (Number.isFinite(stage.x) && Number.isFinite(stage.y)) return { stage }
  }
  if (parseWellName(plain) && wells.length > 0) return { problem: `There is no well ${plain} here.` }
  const [first] = wells
  return {
    problem: `Write a position as x, y in ${lengthUnit(1).name}, such as 1250.5, 980${first ? `, or a well, such as ${first.name}` : ''}${itemCount > 0 ? ', or an image, such as #0' : ''}.`,
  }
}

/** Only narrow spaces group digits; an ordinary one parts the numbers. */
const THOUSANDS = new RegExp(`(?<=\\d)[${THIN_SPACE}\u2009\u00a0](?=\\d{3}(?!\\d))`, 'g')

function toUm(number: string, unit = 'µm'): number {
  return Number(number.replace(',', '.')) * (UM_PER_UNIT[unit.toLowerCase()] as number)
}

/** `b7` and `B07` are the same well. */
function wellNamed(name: string, wells: readonly Well[]): Well | undefined {
  const place = parseWellName(name)
  return (
    wells.find(well => well.name.toLowerCase() === name.toLowerCase()) ??
    wells.find(well => {
      const other = parseWellName(well.name)
      return place && other && place.row === other.row && place.column === other.column
    })
  )
}
