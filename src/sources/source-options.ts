import type { Size } from '../plane.js'
import type { AxisLetters } from './array-axes.js'
import type { ClusterOptions } from './cluster/find-servers.js'

/** What finding a series takes beside its name. */
export interface SourceOptions {
  readonly cluster?: ClusterOptions
  /** `--unit`: what lengths in a file are measured in, instead of what it says; how many µm that is. */
  readonly unitUm?: number
  /** `--shape`: of the images of a stack whose rows are flattened images. */
  readonly shape?: Size
  /** `--axes`: what stands along the axes of an array, where it says nothing or is wrong. */
  readonly axes?: AxisLetters
  /** `--table`: path of a table with a row for each image of a stack. */
  readonly table?: string
}
