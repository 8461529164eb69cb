import type { FileHandle } from 'node:fs/promises'
import { crc32c } from '@node-rs/crc32'

/**
 * Lines of a journal: 8 hex digits (crc32c of the text's UTF-8 bytes), a space, the text, a line feed. A line whose
 * checksum is wrong was torn by a crash and says nothing.
 */
const CHECKSUM_DIGITS = 8

/** A shard with a hundred thousand frames needs less. */
export const MAX_LINE_BYTES = 16 * 2 ** 20

const READ_BYTES = 2 ** 20
const LINE_FEED = 0x0a

/** A line's place in its file, line feed included. */
export interface LineRange {
  readonly offset: number
  readonly length: number
}

/** @throws {RangeError} the text is too long for a line, or has a line feed in it. */
export function encodeLine(text: string): Buffer {
  const bytes = Buffer.from(`${'0'.repeat(CHECKSUM_DIGITS)} ${text}\n`)
  if (bytes.length > MAX_LINE_BYTES || text.includes('\n')) throw new RangeError(`no line of a journal: ${text.length}`)
  const checksum = crc32c(bytes.subarray(CHECKSUM_DIGITS + 1, -1))
  bytes.write(checksum.toString(16).padStart(CHECKSUM_DIGITS, '0'))
  return bytes
}

/**
 * @param line with its line feed.
 * @returns the text; undefined where the line is damaged.
 */
export function decodeLine(line: Buffer): string | undefined {
  const text = line.subarray(CHECKSUM_DIGITS + 1, -1)
  const checksum = crc32c(text).toString(16).padStart(CHECKSUM_DIGITS, '0')
  return line.toString('latin1', 0, CHECKSUM_DIGITS + 1) === `${checksum} ` ? text.toString() : undefined
}

/**
 * The whole lines of a file from an offset on, damaged ones too; what follows the last line feed is left out. A line
 * longer than `MAX_LINE_BYTES` is passed over: no more than that is held.
 */
export async function* readLines(
  file: FileHandle,
  from: number,
): AsyncGenerator<LineRange & { readonly line: Buffer }> {
  const chunk = Buffer.allocUnsafe(READ_BYTES)
  /** What is held of the line that begins at `start`. */
  let held: Buffer[] = []
  let start = from
  for (let at = from; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) return
    let begin = 0
    for (let feed = chunk.indexOf(LINE_FEED); feed >= 0 && feed < bytesRead; feed = chunk.indexOf(LINE_FEED, begin)) {
      const end = feed + 1
      const length = at + end - start
      const rest = chunk.subarray(begin, end)
      if (length <= MAX_LINE_BYTES)
        yield { offset: start, length, line: held.length > 0 ? Buffer.concat([...held, rest]) : Buffer.from(rest) }
      held = []
      start += length
      begin = end
    }
    at += bytesRead
    if (at - start > MAX_LINE_BYTES) held = []
    else if (begin < bytesRead) held.push(Buffer.from(chunk.subarray(begin, bytesRead)))
  }
}
