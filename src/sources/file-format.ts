import type { SeriesLocation } from './series-location.js'
import type { SourceOptions } from './source-options.js'

/** A file that was named, or something inside of it. */
export interface NamedFile {
  readonly path: string
  /** What follows the `#` of `file.h5#/path/inside`; undefined where all of the file is meant. */
  readonly inside: string | undefined
  /** `path`, and `#` and `inside` where that is given: as the user typed it. */
  readonly url: string
  /** The real path, and `inside`. */
  readonly identity: string
}

/** A kind of file that series are read from. */
export interface FileFormat {
  /** With its article, e.g. `an HDF5 file`. */
  readonly name: string
  /** Of the names of its files. */
  readonly ending: RegExp
  /** Whether a folder or glob leads to its files, too; else each must be named: other things are kept in such files as well. */
  readonly isFoundInFolders: boolean
  /** Whether a file of that name may be a series. Why one that was named is none, is told by opening it. */
  isSeries(path: string): Promise<boolean>
  locate(file: NamedFile, options: SourceOptions): SeriesLocation
}
