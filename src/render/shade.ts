import { LRUCache } from 'lru-cache'
import type { SampleArray } from '../plane.js'
import { pictureKernels } from './picture-kernels.js'
import { computeSteps, type FewValues, hasFewValues, type StepStyle, stepCells, stepTable } from './steps.js'

/** Tables kept in a thread, of at most 64 KiB each. */
const TABLES = 64

const tables = new LRUCache<string, Uint8Array>({ max: TABLES })
const cellTables = new LRUCache<string, Int16Array>({ max: TABLES })

/** One layer of a picture as a thread gets it. */
export interface ShadedLayer {
  /** 0 … 255 a pixel; anything where it is not covered. */
  readonly steps: Uint8Array
  /** One byte a pixel, 0 = not covered; undefined: all are. */
  readonly covered: Uint8Array | undefined
}

/** Steps of a layer's samples. NaN counts as not covered. */
export function shade(samples: SampleArray, mask: Uint8Array | undefined, style: StepStyle): ShadedLayer {
  const steps = new Uint8Array(samples.length)
  if (hasFewValues(samples)) {
    const table = remember(tables, `${samples.constructor.name},${keyOf(style)}`, () => stepTable(style, samples))
    lookUp(samples, table, steps)
    return { steps, covered: mask }
  }
  computeSteps(
    samples,
    style,
    remember(cellTables, keyOf(style), () => stepCells(style)),
    steps,
  )
  return { steps, covered: withoutNaN(samples, mask) }
}

/** The mask without samples that are not a number; the same one where all are. */
function withoutNaN(samples: SampleArray, mask: Uint8Array | undefined): Uint8Array | undefined {
  let covered = mask
  for (let i = 0; i < samples.length; i++) {
    if (!Number.isNaN(samples[i])) continue
    if (covered === mask) covered = mask?.slice() ?? new Uint8Array(samples.length).fill(1)
    covered![i] = 0
  }
  return covered
}

function lookUp(samples: FewValues, table: Uint8Array, steps: Uint8Array): void {
  if (samples instanceof Uint8Array) {
    for (let i = 0; i < samples.length; i++) steps[i] = table[samples[i]]
  } else {
    // Of signed samples the table has the bits.
    const { buffer, byteOffset, length } = samples
    pictureKernels().lookUp(new Uint16Array(buffer, byteOffset, length), table, steps)
  }
}

function remember<Table extends object>(tables: LRUCache<string, Table>, key: string, make: () => Table): Table {
  const known = tables.get(key)
  if (known) return known
  const table = make()
  tables.set(key, table)
  return table
}

function keyOf({ black, white, gamma, stretch, inverted, rounding, cumulative }: StepStyle): string {
  return [black, white, gamma, stretch, inverted, rounding, cumulative?.id].join()
}
