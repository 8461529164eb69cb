import type { FileFormat, NamedFile } from '../file-format.js'
import type { FrameSource } from '../frame-source.js'
import type { SourceOptions } from '../source-options.js'
import { openArrayFile } from './array-reader.js'
import { ArrayWatch } from './array-watch.js'
import { Hdf5Watch } from './hdf5-watch.js'
import { openArrays } from './open-arrays.js'
import { HDF5_ENDING, openSpool } from './pyme-spool.js'
import { isOtherThanSpool, mayBeSpool, openSpoolFile } from './spool-content.js'
import { SpoolWatch } from './spool-watch.js'
import { mayBeUsid } from './usid.js'

export const HDF5_FORMAT: FileFormat = {
  name: 'an HDF5 file',
  ending: HDF5_ENDING,
  isFoundInFolders: true,
  // HDF5 is used for everything.
  isSeries: async path => (await mayBeSpool(openSpoolFile(path))) || (await mayBeUsid(openArrayFile(path))),
  locate: (file, options) => ({
    ...{ url: file.url, identity: file.identity },
    open: () => openHdf5(file, options),
    follow: isFresh => {
      const arrays = (): ArrayWatch => new ArrayWatch(file, options, isFresh)
      if (file.inside !== undefined) return arrays()
      return new Hdf5Watch(file.path, { spool: () => new SpoolWatch(file.path, isFresh), arrays })
    },
  }),
}

async function openHdf5(file: NamedFile, options: SourceOptions): Promise<FrameSource> {
  const isArrays = file.inside !== undefined || (await isOtherThanSpool(openSpoolFile(file.path)))
  return isArrays ? await openArrays(file, options) : await openSpool(file.path)
}
