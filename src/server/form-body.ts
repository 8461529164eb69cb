import { parse } from 'node:querystring'
import type { FastifyInstance } from 'fastify'
import { UsageError } from '../errors.js'
import type { Parameters } from './parameters.js'

/** A form that names one path and a handful of numbers. */
const MAX_FORM_BYTES = 16 * 1024

/** Let handlers read forms; no other body is understood. */
export function acceptForms(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
    (_request, body, done) => done(null, parse(body as string)),
  )
}

/**
 * The fields of a request, in its query or its form, as PYME takes them.
 * @throws {UsageError} the same name in both.
 */
export function formOrQuery({ query, body }: { readonly query: Parameters; readonly body?: Parameters }): Parameters {
  if (body === undefined) return query
  for (const name of Object.keys(body)) {
    if (name in query) throw new UsageError(`The parameter ${name} is given in the query and in the form.`)
  }
  return { ...query, ...body }
}
