import { SAMPLE_ARRAYS } from '../plane.js'

/** What numbers are kept in, in the byte order of this machine, by the names that numpy and zarr give their types. */
export const NUMBER_ARRAYS = {
  ...SAMPLE_ARRAYS,
  int8: Int8Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
} as const
