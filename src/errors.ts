/**
 * The five ways in which data can fail us. Readers and the pyramid throw these and nothing else for bad data;
 * a wrong argument from our own code stays a `TypeError` or `RangeError`.
 *
 * Every message is one sentence: which file, what was found, what is possible.
 */
export type ErrorCode = 'NOT_FOUND' | 'UNSUPPORTED_DATA' | 'LIMIT_EXCEEDED' | 'CORRUPT_DATA' | 'SOURCE_UNAVAILABLE'

export interface ErrorDetails {
  /** Path or URL of the thing that failed, as the user would name it. */
  readonly url?: string
  readonly frameIndex?: number
  readonly byteOffset?: number
  readonly cause?: unknown
}

export abstract class TilestageError extends Error {
  abstract readonly code: ErrorCode
  readonly url?: string
  readonly frameIndex?: number
  readonly byteOffset?: number

  constructor(message: string, details: ErrorDetails = {}) {
    super(showControls(message), details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.url = details.url
    this.frameIndex = details.frameIndex
    this.byteOffset = details.byteOffset
  }
}

/** Names in files are anybody's text, which must not steer a terminal. */
function showControls(text: string): string {
  return text.replace(/\p{Cc}/gu, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** The name or address leads nowhere. */
export class NotFoundError extends TilestageError {
  readonly code = 'NOT_FOUND'
}

/** Valid, but a codec, type or version that we do not read. */
export class UnsupportedDataError extends TilestageError {
  readonly code = 'UNSUPPORTED_DATA'
}

/** A header asks for more memory than we are willing to take. */
export class LimitExceededError extends TilestageError {
  readonly code = 'LIMIT_EXCEEDED'
}

/** The bytes contradict their own format. */
export class CorruptDataError extends TilestageError {
  readonly code = 'CORRUPT_DATA'
}

/** Disk or network did not answer; trying again may help. */
export class SourceUnavailableError extends TilestageError {
  readonly code = 'SOURCE_UNAVAILABLE'
}

/** The request itself is wrong: a flag, a parameter, a combination. The command line answers with status 64. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The class of each code. */
export const ERROR_CLASSES = {
  NOT_FOUND: NotFoundError,
  UNSUPPORTED_DATA: UnsupportedDataError,
  LIMIT_EXCEEDED: LimitExceededError,
  CORRUPT_DATA: CorruptDataError,
  SOURCE_UNAVAILABLE: SourceUnavailableError,
} as const satisfies Readonly<Record<ErrorCode, unknown>>

const REASONS: Record<string, string> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a directory',
  EISDIR: 'is a directory',
  EACCES: 'may not be used (permission denied)',
  EPERM: 'may not be used (operation not permitted)',
  ENOSPC: 'cannot be written: the disk is full; free some space and run the same command again',
  EDQUOT: 'cannot be written: the disk quota is used up',
  EROFS: 'cannot be written: the file system is read-only',
  EMFILE: 'cannot be opened: too many files are open',
  EIO: 'cannot be read: the disk reports an input/output error',
  ELOOP: 'goes through too many symbolic links',
  ENAMETOOLONG: 'has too long a name',
}

/** No try will find what such a name should lead to. */
const LEADS_NOWHERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

/** The `code` of a Node system error, if it is one. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

/**
 * Turn a Node file-system error into one of ours, with a sentence a user understands.
 * Our own errors pass unchanged.
 */
export function fromSystemError(error: unknown, path: string): Error {
  if (error instanceof TilestageError || error instanceof UsageError) return error
  const code = systemCode(error)
  const reason = (code && REASONS[code]) ?? `failed: ${error instanceof Error ? error.message : String(error)}`
  return new (code && LEADS_NOWHERE.includes(code) ? NotFoundError : SourceUnavailableError)(`${path} ${reason}.`, {
    url: path,
    cause: error,
  })
}
