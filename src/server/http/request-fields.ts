import { parse } from 'node:querystring'
import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import type { Parameters } from './parameters.js'

/** A form that names one path and a handful of numbers; routes that take whole lists say how much they take. */
const MAX_BODY_BYTES = 16 * 1024

/** Let handlers read forms, JSON and CSV (as text); no other body is understood. */
export function acceptBodies(app: FastifyInstance): void {
  const asText = { parseAs: 'string' as const, bodyLimit: MAX_BODY_BYTES }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/x-www-form-urlencoded', asText, (_request, body, done) =>
    done(null, parse(String(body))),
  )
  app.addContentTypeParser('application/json', asText, app.getDefaultJsonParser('error', 'error'))
  app.addContentTypeParser('text/csv', asText, (_request, body, done) => done(null, body))
}

/**
 * The fields of a request: of its query, and of its form or JSON object. PYME takes either, and so does everything
 * that changes something here.
 *
 * @throws {UsageError} the same name in both, or a JSON body that is no flat object.
 */
export function readFields({ query, body }: { readonly query: Parameters; readonly body?: unknown }): Parameters {
  if (body === undefined || body === null) return query
  if (typeof body !== 'object' || Array.isArray(body)) throw new UsageError('The body is no form and no JSON object.')
  const fields: Record<string, string | readonly string[] | undefined> = { ...query }
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(query, name)) throw new UsageError(`The parameter ${name} is given in the query and in the body.`)
    fields[name] = readField(name, value)
  }
  return fields
}

/** Numbers and truth values of JSON are what they would be in a form. */
function readField(name: string, value: unknown): string | readonly string[] | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value) && value.every(part => typeof part === 'string')) return value
  throw new UsageError(`The parameter ${name} is neither text nor a number.`)
}
