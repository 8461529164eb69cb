import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, TilestageError, UsageError } from '../../errors.js'
import { type RefusalCode, RequestRefusal } from './request-refusal.js'

/** The one table of statuses. Readers and pyramids never see a status, and no route sets one of these itself. */
export const STATUS_OF: Readonly<Record<ErrorCode | RefusalCode | 'INTERNAL_ERROR', number>> = {
  BAD_REQUEST: 400,
  TOKEN_NEEDED: 401,
  HOST_NOT_ALLOWED: 403,
  CROSS_SITE: 403,
  OUTSIDE_ROOTS: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  OUTPUT_IN_USE: 409,
  GONE: 410,
  CHANGED_MEANWHILE: 412,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  UNSUPPORTED_DATA: 422,
  LIMIT_EXCEEDED: 422,
  CORRUPT_DATA: 422,
  DETECTOR_FAILED: 422,
  TOO_MANY_BUILDS: 429,
  TOO_MANY_DETECTIONS: 429,
  TOO_MANY_REQUESTS: 429,
  HEADERS_TOO_LARGE: 431,
  INTERNAL_ERROR: 500,
  NOT_CONFIGURED: 501,
  SOURCE_UNAVAILABLE: 503,
  TOO_MANY_LISTENERS: 503,
  NOT_READY: 503,
}

const RETRY_AFTER_S = 5

/** What a client is told of a failure. */
export interface ErrorBody {
  readonly code: keyof typeof STATUS_OF
  readonly message: string
}

/** A folder whose path is not told to strangers, and the name that stands for it. */
export interface HiddenPath {
  readonly path: string
  readonly name: string
}

/** Code and sentence for an error. What we do not know is "internal error": its text could tell anything. */
export function describeError(error: unknown, hidden: Iterable<HiddenPath> = []): ErrorBody {
  if (error instanceof TilestageError) return { code: error.code, message: hidePaths(error.message, hidden) }
  if (error instanceof RequestRefusal) return { code: error.code, message: error.message }
  if (error instanceof UsageError) return { code: 'BAD_REQUEST', message: error.message }
  switch ((error as Partial<FastifyError> | null)?.statusCode) {
    case 400:
      return { code: 'BAD_REQUEST', message: 'The request is malformed.' }
    // A part of the path is longer than any name of ours.
    case 414:
      return { code: 'NOT_FOUND', message: 'There is nothing here.' }
    case 413:
      return { code: 'TOO_LARGE', message: 'The body of the request is too large.' }
    case 415:
      return {
        code: 'UNSUPPORTED_MEDIA_TYPE',
        message: 'A body is a form (application/x-www-form-urlencoded), JSON or CSV.',
      }
    default:
      return { code: 'INTERNAL_ERROR', message: 'Internal error.' }
  }
}

/** Replace folders by the names that stand for them, the longest path first. */
export function hidePaths(message: string, hidden: Iterable<HiddenPath>): string {
  return [...hidden]
    .sort((a, b) => b.path.length - a.path.length)
    .reduce((text, { path, name }) => text.replaceAll(path, name), message)
}

/** Send an error: JSON, never cached, one line in the log. A client's mistake is no error of ours. */
export function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  hidden: Iterable<HiddenPath> = [],
): FastifyReply {
  const body = describeError(error, hidden)
  const status = STATUS_OF[body.code]
  // The query may hold a token; the path does not.
  const facts = { method: request.method, path: request.url.split('?', 1)[0], status, code: body.code }
  // Something that nobody set up is no failure, nor is an answer to who asks whether there is one.
  const isFailure = status >= 500 && body.code !== 'NOT_CONFIGURED' && body.code !== 'NOT_READY'
  if (isFailure) request.log.error({ ...facts, err: error }, 'request failed')
  else request.log.info({ ...facts, message: (error as Error).message }, 'request refused')
  reply.removeHeader('etag').code(status)
  reply.headers({ 'cache-control': 'no-store', 'content-type': 'application/json; charset=utf-8' })
  if (status === 503 || status === 429) {
    const seconds = (error instanceof RequestRefusal && error.retryAfterS) || RETRY_AFTER_S
    reply.header('retry-after', String(seconds))
  }
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="tilestage"')
  return reply.send(JSON.stringify(body))
}
