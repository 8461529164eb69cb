import { ERROR_CLASSES, type ErrorCode, TilestageError } from './errors.js'

/** An error on its way between threads, which keep of an error's class only whether it is one of the language. */
export interface PackedError {
  readonly name: string
  readonly message: string
  readonly url: string | undefined
  readonly stack: string | undefined
}

/** The class of a user's errors that has this name; undefined where the name is that of a bug. */
export function errorClassOf(name: string): (typeof ERROR_CLASSES)[ErrorCode] | undefined {
  return Object.values(ERROR_CLASSES).find(candidate => candidate.name === name)
}

export function packError(error: unknown): PackedError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error))
  return { name, message, stack, url: error instanceof TilestageError ? error.url : undefined }
}

export function unpackError({ name, message, url, stack }: PackedError): Error {
  const Class = errorClassOf(name)
  if (Class) return new Class(message, { url })
  // A bug of ours: where it happened tells more than where it was received.
  return Object.assign(new Error(message), { stack })
}
