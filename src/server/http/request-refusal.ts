/** Why a request is refused before any data is looked at. */
export type RefusalCode =
  | 'BAD_REQUEST'
  | 'TOKEN_NEEDED'
  | 'HOST_NOT_ALLOWED'
  | 'CROSS_SITE'
  | 'OUTSIDE_ROOTS'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'GONE'
  | 'TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'RANGE_NOT_SATISFIABLE'
  | 'TOO_MANY_LISTENERS'
  | 'TOO_MANY_REQUESTS'
  | 'HEADERS_TOO_LARGE'
  | 'REQUEST_TIMEOUT'
  | 'NOT_READY'
  | 'CHANGED_MEANWHILE'
  | 'DETECTOR_FAILED'
  | 'NOT_CONFIGURED'
  | 'OUTPUT_IN_USE'
  | 'TOO_MANY_BUILDS'
  | 'TOO_MANY_DETECTIONS'

/** A request that cannot be granted; the message is one sentence for whoever sent it. */
export class RequestRefusal extends Error {
  override readonly name = 'RequestRefusal'

  constructor(
    readonly code: RefusalCode,
    message: string,
    /** When to try again. */
    readonly retryAfterS?: number,
  ) {
    super(message)
  }
}
