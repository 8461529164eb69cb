/** A part of a file, half open. */
export interface ByteRange {
  readonly first: number
  readonly end: number
}

/**
 * Which part of a file a `Range` header asks for: `bytes=first-last`, `bytes=first-` or `bytes=-length`.
 *
 * @param header of the request; what is no such range, several at once, or none at all asks for the whole file, as
 *   RFC 9110 (section 14.2) has it.
 * @param size of the file, bytes.
 * @returns undefined where there is nothing of what is asked for.
 */
export function readByteRange(header: string | undefined, size: number): ByteRange | 'whole' | undefined {
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '') ?? ['', '', '']
  if (first === '' && last === '') return 'whole'
  if (first === '') return existing({ first: Math.max(0, size - Number(last)), end: size }, size)
  if (last === '') return existing({ first: Number(first), end: size }, size)
  if (Number(last) < Number(first)) return 'whole'
  return existing({ first: Number(first), end: Math.min(size, Number(last) + 1) }, size)
}

function existing(range: ByteRange, size: number): ByteRange | undefined {
  return range.first < size ? range : undefined
}
