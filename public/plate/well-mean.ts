import { type Rect, rectAtLevel } from '../../src/plane.js'
import { intersect } from '../picture/stage-geometry.js'
import type { RegionPicture, RegionSamples } from '../tiles/region-picture.js'

/**
 * A picture of one pixel: the mean of what is covered of a well.
 *
 * @param plate a coarse picture of all wells. @param well in level-0 pixels.
 */
export function wellMean(plate: RegionPicture, well: Rect): RegionPicture {
  const area = intersect(rectAtLevel(well, plate.level), plate.rect) ?? { x0: 0, y0: 0, x1: 0, y1: 0 }
  const x0 = Math.floor((area.x0 + area.x1) / 2)
  const y0 = Math.floor((area.y0 + area.y1) / 2)
  return {
    width: 1,
    height: 1,
    // In the middle of the well, so that it is painted with the levels of that and no other.
    rect: { x0, y0, x1: x0 + 1, y1: y0 + 1 },
    level: plate.level,
    channels: new Map([...plate.channels].map(([channel, read]) => [channel, meanOf(read, plate, area)])),
  }
}

function meanOf({ samples, covered }: RegionSamples, { width, rect }: RegionPicture, area: Rect): RegionSamples {
  let sum = 0
  let count = 0
  for (let y = area.y0 - rect.y0; y < area.y1 - rect.y0; y++) {
    for (let x = area.x0 - rect.x0; x < area.x1 - rect.x0; x++) {
      const value = samples[y * width + x] as number
      if (covered[y * width + x] === 0 || Number.isNaN(value)) continue
      sum += value
      count++
    }
  }
  return { samples: Float32Array.of(sum / count), covered: Uint8Array.of(Number(count > 0)) }
}
