import { LimitExceededError, NotFoundError, UnsupportedDataError } from '../../errors.js'
import { naturalOrder } from '../../natural-order.js'
import { ZipArchive } from '../zip/zip-archive.js'

/** Largest array out of an archive: it is unpacked into memory, which all threads share. */
const MAX_BYTES = 512 * 2 ** 20

const NPY = /\.npy$/i

/** An array out of an archive. */
export interface NpzMember {
  /** Without `.npy`. */
  readonly name: string
  /** A whole npy file. */
  readonly bytes: SharedArrayBuffer
  /** Names of the other arrays. */
  readonly others: readonly string[]
}

/**
 * Unpack an array of a `.npz` archive, stored or deflated.
 *
 * @param stamp of the archive, as `examineFile` tells it.
 * @param name with or without `.npy`; without a name it is the largest one: labels are smaller than images.
 * @throws {NotFoundError} no such file, or no such array in it. @throws {LimitExceededError} the array is too large.
 * @throws {UnsupportedDataError} no array is in it. @throws as `ZipArchive`.
 */
export async function unpackMember(path: string, stamp: string, name: string | undefined): Promise<NpzMember> {
  const archive = new ZipArchive(path, stamp)
  const arrays = [...(await archive.entries())]
    .filter(([member]) => NPY.test(member))
    .map(([member, { bytes }]) => ({ member, name: member.replace(NPY, ''), bytes }))
    .sort((a, b) => naturalOrder(a.name, b.name))
  if (arrays.length === 0) throw new UnsupportedDataError(`${path} has no .npy file in it.`, { url: path })
  const names = arrays.map(array => array.name)
  const chosen =
    name === undefined
      ? arrays.reduce((largest, array) => (array.bytes > largest.bytes ? array : largest))
      : arrays.find(array => array.name === name.replace(NPY, ''))
  if (!chosen) throw new NotFoundError(`${path} has no array ${name}; it has ${names.join(', ')}.`, { url: path })
  if (chosen.bytes > MAX_BYTES) {
    throw new LimitExceededError(
      `${path}: ${chosen.member} has ${chosen.bytes} bytes; up to ${MAX_BYTES} are unpacked, and an .npy file may have any size.`,
      { url: path },
    )
  }
  const unpacked = await archive.read(chosen.member, MAX_BYTES)
  if (!unpacked) throw new RangeError(`${chosen.member} was listed a moment ago`)
  const bytes = new SharedArrayBuffer(unpacked.length)
  new Uint8Array(bytes).set(unpacked)
  return { name: chosen.name, bytes, others: names.filter(other => other !== chosen.name) }
}
