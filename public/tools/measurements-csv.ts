import { quoteField } from './line-profile.js'
import { areaUm2, boxOf, lengthUm, perimeterUm } from './measurement-geometry.js'
import type { Measurement } from './tools-state.js'

const COLUMNS = ['name', 'kind', 'length_um', 'perimeter_um', 'area_um2', 'width_um', 'height_um', 'points_um']

/** Measurements as a table in full precision; `points_um` has x and y of each point. */
export function measurementsCsv(measurements: readonly Measurement[]): string {
  const rows = measurements.map(measurement => {
    const { name, kind, points } = measurement
    const places = points.map(({ x, y }) => `${x} ${y}`).join('; ')
    return [quoteField(name), kind, ...numbersOf(measurement), places].join()
  })
  return [COLUMNS.join(), ...rows].map(row => `${row}\r\n`).join('')
}

function numbersOf({ kind, points }: Measurement): readonly (number | '')[] {
  if (kind === 'length') return [lengthUm(points), '', '', '', '']
  if (kind === 'area') return ['', perimeterUm(points), areaUm2(points), '', '']
  const { w, h } = boxOf(points)
  return ['', 2 * (w + h), w * h, w, h]
}
