import type { SeriesLocation } from '../series-location.js'
import { HDF5_ENDING, openSpool } from './pyme-spool.js'
import { mayBeSpool, openSpoolFile } from './spool-content.js'
import { SpoolWatch } from './spool-watch.js'

/** Whether a file has the name of an HDF5 file. */
export function hasHdf5Name(path: string): boolean {
  return HDF5_ENDING.test(path)
}

/** Whether a file with such a name may be a series: HDF5 is used for everything. As `mayBeSpool`. */
export function isSpool(path: string): Promise<boolean> {
  return mayBeSpool(openSpoolFile(path))
}

/** @param identity real path of the file. */
export function locateSpool(path: string, identity: string): SeriesLocation {
  return { url: path, identity, open: () => openSpool(path), follow: isFresh => new SpoolWatch(path, isFresh) }
}
