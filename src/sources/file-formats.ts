import { RAW_FORMAT } from './bruker/raw-format.js'
import { DATASTACK_FORMAT } from './datastack/datastack-format.js'
import type { FileFormat } from './file-format.js'
import { HDF5_FORMAT } from './hdf5/hdf5-format.js'
import { NUMPY_FORMAT } from './numpy/numpy-source.js'

/** Every kind of file that series are read from; folders of frames are known by what is in them. */
const FILE_FORMATS: readonly FileFormat[] = [HDF5_FORMAT, DATASTACK_FORMAT, RAW_FORMAT, NUMPY_FORMAT]

/** The format of a file with that name. */
export function formatOf(path: string): FileFormat | undefined {
  return FILE_FORMATS.find(({ ending }) => ending.test(path))
}

/** `an HDF5 file, a DataStack or …`, for sentences that say what can be read. */
export function listFormats(): string {
  const names = FILE_FORMATS.map(({ name }) => name)
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
