import { UnsupportedDataError } from '../../errors.js'
import type { Hdf5Filter } from './hdf5-messages.js'

/** The filters that HDF5 has built in, and those that h5wasm-plugins brings, by their registered numbers. */
const READABLE = new Map([
  [1, 'gzip'],
  [2, 'shuffle'],
  [3, 'fletcher32'],
  [4, 'szip'],
  [5, 'nbit'],
  [6, 'scaleoffset'],
  [307, 'bzip2'],
  [32000, 'lzf'],
  [32001, 'blosc'],
  [32004, 'lz4'],
  [32008, 'bitshuffle'],
  [32013, 'zfp'],
  [32015, 'zstd'],
  [32026, 'blosc2'],
])

const BLOSC = 32001
/** Where Blosc's parameters say which codec it was set up with, and what the numbers mean. */
const BLOSC_CODEC_PARAMETER = 6
const BLOSC_CODECS = ['blosclz', 'lz4', 'lz4hc', 'snappy', 'zlib', 'zstd']
/** Blosc was compiled without them: one ends the read with an error, the other the thread. */
const MISSING_BLOSC_CODECS = ['snappy', 'zlib']

/**
 * Refuse what cannot be decoded before anything is read: HDF5 would say so in thirty lines, or stop the thread.
 *
 * @throws {UnsupportedDataError} names the filter, the dataset, and the filters that are read.
 */
export function expectReadableFilters(filters: readonly Hdf5Filter[], dataset: string, file: string): void {
  const missing = findMissingFilter(filters)
  if (missing === undefined) return
  throw new UnsupportedDataError(
    `${file}: the dataset ${dataset} is compressed by ${missing}, which cannot be read; ` +
      `${[...READABLE.values()].join(', ')} can (blosc without ${MISSING_BLOSC_CODECS.join(' and ')}).`,
    { url: file },
  )
}

/** The first filter that cannot be read, by name and number. */
export function findMissingFilter(filters: readonly Hdf5Filter[]): string | undefined {
  return filters.map(findMissing).find(missing => missing !== undefined)
}

/** The filters by name and number, for messages; empty where there are none. */
export function nameFilters(filters: readonly Hdf5Filter[]): string {
  return filters.map(nameFilter).join(', ')
}

function findMissing(filter: Hdf5Filter): string | undefined {
  if (!READABLE.has(filter.id)) return nameFilter(filter)
  const codec = filter.id === BLOSC ? BLOSC_CODECS[filter.parameters[BLOSC_CODEC_PARAMETER]!] : undefined
  return codec !== undefined && MISSING_BLOSC_CODECS.includes(codec) ? `blosc (32001) with ${codec}` : undefined
}

function nameFilter({ id, name }: Hdf5Filter): string {
  return `${READABLE.get(id) ?? (name || 'a filter without a name')} (${id})`
}
