import type { Well } from '../server/pyramid-api.js'

/** A well at its place on the plate; row and column are 0-based. */
export interface PlacedWell {
  readonly well: Well
  readonly row: number
  readonly column: number
}

/** The part of a plate that holds wells; indices are 0-based, ends are exclusive. */
export interface WellGrid {
  readonly firstRow: number
  readonly endRow: number
  readonly firstColumn: number
  readonly endColumn: number
  readonly wells: readonly PlacedWell[]
}

/** `B07` → row 1, column 6. Rows run A … Z, AA … AF and columns 1 … 48, as on a 1536-well plate. */
export function parseWellName(name: string): { row: number; column: number } | undefined {
  const match = /^(A?[A-Z])0*([1-9]\d?)$/i.exec(name)
  if (!match) return undefined
  const [letters, digits] = [match[1] as string, match[2] as string]
  const last = letters.toUpperCase().charCodeAt(letters.length - 1) - 65
  const row = letters.length === 2 ? 26 + last : last
  const column = Number(digits) - 1
  return row < 32 && column < 48 ? { row, column } : undefined
}

/** `1` → `B`, `26` → `AA`. */
export function rowName(row: number): string {
  return row < 26 ? String.fromCharCode(65 + row) : `A${String.fromCharCode(65 + row - 26)}`
}

/** The grid that all wells fit on by their names; `undefined` where a name says no place or two share one. */
export function wellGrid(wells: readonly Well[]): WellGrid | undefined {
  const placed: PlacedWell[] = []
  const taken = new Set<string>()
  for (const well of wells) {
    const place = parseWellName(well.name)
    if (!place || taken.has(`${place.row},${place.column}`)) return undefined
    taken.add(`${place.row},${place.column}`)
    placed.push({ well, ...place })
  }
  if (placed.length === 0) return undefined
  const rows = placed.map(({ row }) => row)
  const columns = placed.map(({ column }) => column)
  return {
    firstRow: Math.min(...rows),
    endRow: Math.max(...rows) + 1,
    firstColumn: Math.min(...columns),
    endColumn: Math.max(...columns) + 1,
    wells: placed,
  }
}
