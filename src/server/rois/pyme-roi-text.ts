import { centreOf, type RoiShape } from './roi.js'

/** What PYME's server gives out as `/get_roi_locations`: JSON of `[[x, y], …]`, to the last digit. */
export function formatPymeLocations(rois: readonly RoiShape[]): string {
  const pairs = rois.map(roi => `[${centreOf(roi).map(formatPythonFloat).join(', ')}]`)
  return `[${pairs.join(', ')}]`
}

/** The piece of a page that PYME's server gives out as `/roi_list`: a table of the centres, counted from 1. */
export function formatPymeTable(rois: readonly RoiShape[]): string {
  const rows = rois.map((roi, i) => {
    const [x, y] = centreOf(roi).map(formatPythonFloat)
    return `<tr><td>${i + 1}</td><td>${x}</td><td>${y}</td></tr>\n`
  })
  const head = '<thead><tr><th>ROI Index</th><th>x</th><th>y</th></tr></thead>'
  return `<table class="table">\n${head}\n<tbody>\n${rows.join('')}</tbody>\n</table>`
}

/** A number as Python prints a float: `19050.0`, `1e-07`. */
export function formatPythonFloat(value: number): string {
  const [digits, exponent] = value.toExponential().split('e')
  const power = Number(exponent)
  if (value !== 0 && (power < -4 || power >= 16)) {
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  return Number.isInteger(value) ? `${text}.0` : text
}
