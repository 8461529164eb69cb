import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { CorruptDataError, fromSystemError, NotFoundError } from '../../errors.js'
import { isInside } from '../../is-inside.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import { openFile } from '../../sources/read-file.js'
import { quote } from '../http/parameters.js'
import type { ByteRange } from './byte-range.js'

const NUMBER = '(0|[1-9]\\d{0,8})'

/** The root, an array, or a shard `LEVEL/c/t/c/z/row/column`. Nothing else of the folder is anybody's business. */
const KEY = new RegExp(`^(zarr\\.json|${NUMBER}/zarr\\.json|${NUMBER}/c(/${NUMBER}){5})$`)

/** Read at once; the next piece is read when this one has been sent. */
const PIECE_BYTES = 2 ** 18

/** A file of an OME-Zarr, open for reading. Whoever has it closes it. */
export interface ZarrFile {
  readonly type: string
  /** Bytes. */
  readonly size: number
  readonly modifiedAt: Date
  /** Changes with the file's bytes: files are written anew and renamed, never written into. */
  readonly etag: string
  /** The bytes of a range; the file is closed when they were read, or when nobody wants them any more. */
  stream(range: ByteRange): Readable
  close(): Promise<void>
}

/**
 * @param key below the root of the OME-Zarr.
 * @throws {NotFoundError} the pyramid is of another format, or there is no such file in its folder.
 * @throws {SourceUnavailableError} it cannot be read just now.
 */
export async function openZarrFile(pyramid: Pyramid, key: string): Promise<ZarrFile> {
  if (pyramid.format !== 'tilestage')
    throw new NotFoundError(`${pyramid.name} is a ${pyramid.format}, which is no OME-Zarr; build it with tilestage.`)
  if (!KEY.test(key))
    throw new NotFoundError(`There is no ${quote(key)} in an OME-Zarr; zarr.json, 0/zarr.json and 0/c/0/0/0/0/0 are.`)
  const path = join(pyramid.path, key)
  const real = await realpath(path).catch(error => Promise.reject(fromSystemError(error, path)))
  if (!isInside(real, pyramid.path)) throw new NotFoundError(`${path} is a link that leads out of the pyramid.`)
  const { file, size } = await openFile(real)
  const close = (): Promise<void> => file.close()
  try {
    const { mtimeMs, mtimeNs } = await file.stat({ bigint: true })
    return {
      type: key.endsWith('.json') ? 'application/json' : 'application/octet-stream',
      size,
      modifiedAt: new Date(Number(mtimeMs)),
      etag: `"${size.toString(36)}-${mtimeNs.toString(36)}"`,
      stream({ first, end }) {
        const stream = Readable.from(pieces(), { objectMode: false, highWaterMark: PIECE_BYTES })
        stream.once('close', close)
        return stream

        async function* pieces(): AsyncGenerator<Buffer, void, undefined> {
          for (let at = first; at < end; ) {
            const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at))
            const { bytesRead } = await file.read(piece, 0, piece.length, at)
            // Whoever waits for the rest shall see the answer break off.
            if (bytesRead === 0) throw new CorruptDataError(`${path} became shorter while it was sent.`, { url: path })
            yield piece.subarray(0, bytesRead)
            at += bytesRead
          }
        }
      },
      close,
    }
  } catch (error) {
    await close()
    throw fromSystemError(error, path)
  }
}
