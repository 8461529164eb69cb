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
  | 'TOO_MANY_LISTENERS'

/** A request that cannot be granted; the message is one sentence for whoever sent it. */
export class RequestRefusal extends Error {
  override readonly name = 'RequestRefusal'

  constructor(
    readonly code: RefusalCode,
    message: string,
  ) {
    super(message)
  }
}
