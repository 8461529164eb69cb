import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { type AnswerDoc, type BodyDoc, type ParameterDoc, type ParameterDocs, ROUTE_GROUPS } from './route-doc.js'

/** Parts of paths that mean the same everywhere. */
const PATH_PARTS: ParameterDocs = {
  id: { type: 'string', description: 'Id of a pyramid; /pyramids lists them.' },
  z: { type: 'integer', description: 'Zoom; 0 is the coarsest, of one tile.', min: 0, example: 0 },
  x: { type: 'integer', description: 'Column, from the left.', min: 0, example: 0 },
}

const FAILURE = {
  description: 'Refused, or failed; the sentence says what was found and what is possible.',
  type: 'object',
  required: ['code', 'message'],
  properties: { code: { type: 'string' }, message: { type: 'string' } },
}

/**
 * Collect the routes that are registered from now on into an OpenAPI document, from their `documented` options.
 * `app.swagger()` gives it once the app is ready.
 */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    stripBasePath: false,
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'tilestage',
        version,
        description: 'Deep-zoom tile pyramids of microscopy: tiles, numbers, and what everybody looks at.',
      },
      // Relative to the document, so that it is right below any path prefix.
      servers: [{ url: './' }],
      tags: Object.entries(ROUTE_GROUPS).map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Tilestage-Token' } },
      },
    },
    transform: ({ route, url }) => ({ schema: schemaOf(route as RouteOptions), url }),
    transformObject: document => ('openapiObject' in document ? withoutBodiesOfGet(document.openapiObject) : {}),
  })
}

function schemaOf(route: RouteOptions): FastifySchema {
  const doc = route.config?.doc
  if (!doc || route.schema?.hide) return route.schema ?? {}
  const fields = doc.body?.fields
  const takesQuery = [route.method].flat().includes('GET')
  return {
    tags: [doc.group],
    summary: doc.summary,
    ...(doc.description && { description: doc.description }),
    ...(doc.cost === 'change' && { security: [{ token: [] }, {}] }),
    ...(route.url.includes(':') && { params: objectOf(pathPartsOf(route.url, doc.path)) }),
    querystring: objectOf({ ...doc.query, ...(takesQuery && fields) }),
    ...(doc.body && { body: { content: contentOf(doc.body) } }),
    response: {
      ...Object.fromEntries(Object.entries(doc.answers).map(([status, answer]) => [status, responseOf(answer)])),
      default: FAILURE,
    },
  }
}

function pathPartsOf(url: string, documented: ParameterDocs = {}): ParameterDocs {
  const names = [...url.matchAll(/:(\w+)|(\*)/g)].map(match => match[1] ?? '*')
  return Object.fromEntries(
    names.map(name => [
      name,
      documented[name] ?? PATH_PARTS[name] ?? { type: 'string', description: 'Part of the path.' },
    ]),
  )
}

function objectOf(parameters: ParameterDocs): Record<string, unknown> {
  const entries = Object.entries(parameters)
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, parameter]) => [name, propertyOf(parameter)])),
    required: entries.filter(([, { required }]) => required).map(([name]) => name),
  }
}

function propertyOf(parameter: ParameterDoc): Record<string, unknown> {
  const { type, description, list, values, min, max, fallback, example } = parameter
  return {
    type: list ? 'string' : type,
    description: list ? `${description} Several between commas.` : description,
    ...(values && !list && { enum: values }),
    ...(min !== undefined && !list && { minimum: min }),
    ...(max !== undefined && !list && { maximum: max }),
    ...(fallback !== undefined && { default: fallback }),
    ...(example !== undefined && { examples: [example] }),
  }
}

function contentOf({ description, fields, types }: BodyDoc): Record<string, { schema: unknown }> {
  const form = fields && { schema: { ...objectOf(fields), ...(description && { description }) } }
  return {
    ...(form && { 'application/json': form, 'application/x-www-form-urlencoded': form }),
    ...Object.fromEntries(
      Object.entries(types ?? {}).map(([type, holds]) => [type, { schema: { description: holds, type: 'string' } }]),
    ),
  }
}

function responseOf(answer: AnswerDoc): Record<string, unknown> {
  if (typeof answer === 'string') return { description: answer, type: 'null' }
  const schema = { type: 'string', format: 'binary' }
  return {
    description: answer.description,
    content: Object.fromEntries(answer.types.map(type => [type, { schema }])),
  }
}

/** A route of GET and POST is one to fastify; the body is of its POST alone. */
function withoutBodiesOfGet<T extends { paths?: object }>(document: T): T {
  const paths = Object.entries(document.paths ?? {}).map(([url, operations]) => {
    const { requestBody: _, ...get } = (operations as { get?: { requestBody?: unknown } }).get ?? {}
    return [url, Object.keys(get).length > 0 ? { ...operations, get } : operations]
  })
  return { ...document, paths: Object.fromEntries(paths) }
}
