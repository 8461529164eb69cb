import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromSystemError, NotFoundError, UnsupportedDataError } from '../errors.js'
import { expectInside } from '../sources/expect-inside.js'
import { MAX_METADATA_BYTES } from '../sources/pyme/metadata.js'
import { parsePythonJson } from '../sources/pyme/python-json.js'
import { readFileBytes } from '../sources/read-file.js'
import { openGrowingPyramid } from './growing-pyramid.js'
import { isPymePyramidMetadata, openPymePyramid } from './pyme-pyramid.js'
import type { Pyramid } from './pyramid.js'
import { PLACEMENT_FILE } from './pyramid-record.js'
import { openTilestagePyramid, readRecord } from './pyramid-store.js'
import { ReadMemory } from './read-memory.js'
import { PYRAMID_ROOT_FILES } from './root-stamp.js'

/**
 * Open a pyramid for reading, whoever wrote it, complete or growing. Nothing on disk is changed.
 *
 * @param memory shared with other pyramids that are open; without it this one has its own.
 * @throws {NotFoundError} the path leads nowhere.
 * @throws {UnsupportedDataError} it is something else than a pyramid; the message says what.
 */
export async function openPyramid(path: string, memory = new ReadMemory()): Promise<Pyramid> {
  const folder = await existingFolder(path)
  await expectFilesInside(folder, memory.roots)
  const record = await readRecord(folder)
  if (record) return record.complete ? openTilestagePyramid(folder, memory) : openGrowingPyramid(folder, memory)
  if (isPymePyramidMetadata(await readMetadata(join(folder, 'metadata.json'))))
    return openPymePyramid(folder, memory.roots)
  throw new UnsupportedDataError(
    `${path} is not a pyramid: it is ${await describeFolder(folder)}; pyramids built by tilestage and PYME pyramids are opened.`,
    { url: path },
  )
}

/** What describes a pyramid may not lie elsewhere, either; shards and tiles are looked at as they are opened. */
async function expectFilesInside(folder: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return
  const side = join(folder, dirname(PLACEMENT_FILE))
  const names = await readdir(side).catch(() => [])
  for (const file of [...PYRAMID_ROOT_FILES.map(name => join(folder, name)), ...names.map(name => join(side, name))]) {
    await expectInside(file, roots).catch(error => {
      if (!(error instanceof NotFoundError)) throw error
    })
  }
}

async function existingFolder(path: string): Promise<string> {
  let isFolder: boolean
  let folder: string
  try {
    folder = await realpath(path)
    isFolder = (await stat(folder)).isDirectory()
  } catch (error) {
    throw fromSystemError(error, path)
  }
  if (isFolder) return folder
  throw new UnsupportedDataError(`${path} is a file, and a pyramid is a folder.`, { url: path })
}

/** @returns undefined where there is no such file. */
async function readMetadata(file: string): Promise<unknown> {
  try {
    return parsePythonJson(await readFileBytes(file, { maxBytes: MAX_METADATA_BYTES }), file)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

/** What a folder is that is no pyramid, in a few words. */
async function describeFolder(folder: string): Promise<string> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    throw fromSystemError(error, folder)
  }
  if (names.includes('zarr.json')) return 'a Zarr node that tilestage did not write'
  if (names.some(name => /^frame\d+\.pzf$/.test(name))) return 'a PYME series, from which `tilestage build` makes one'
  if (names.length === 0) return 'an empty folder'
  return `a folder of ${names.length} ${names.length === 1 ? 'entry' : 'entries'} without a pyramid's zarr.json or metadata.json`
}
