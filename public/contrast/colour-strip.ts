import { COLOUR_STEPS, coloursOf } from '../../src/render/colour-maps.js'
import type { Contrast } from './contrast.js'

/** A colour map as a strip of `COLOUR_STEPS` × 1 pixels, darkest first. */
export function paintColours(canvas: HTMLCanvasElement, { colours, inverted }: Pick<Contrast, 'colours' | 'inverted'>) {
  const table = coloursOf(colours)
  const image = new ImageData(COLOUR_STEPS, 1)
  for (let step = 0; step < COLOUR_STEPS; step++) {
    const from = 4 * (inverted ? COLOUR_STEPS - 1 - step : step)
    image.data.set(table.subarray(from, from + 4), 4 * step)
  }
  canvas.width = COLOUR_STEPS
  canvas.height = 1
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}
