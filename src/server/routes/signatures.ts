import type { FastifyInstance } from 'fastify'
import { UsageError } from '../../errors.js'
import { type AccessPolicy, isTokenValid, presentedToken } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import type { UrlSigner } from '../access/url-signer.js'
import { type Parameters, quote, readInteger, readText } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { documented } from '../openapi/route-doc.js'

const DEFAULT_SECONDS = 3600
const MAX_SECONDS = 30 * 24 * 3600

/** Signed URLs: each may be read by whoever has it, for a while. */
export function registerSignatureRoute(
  app: FastifyInstance,
  policy: AccessPolicy,
  signer: UrlSigner | undefined,
): void {
  const doc = documented({
    group: 'Server',
    summary: 'Sign a URL, so that it can be read without the token',
    description:
      'For what cannot send a token: a picture in a page or a report. The signature is for this one path and query, and for reading only.',
    body: {
      fields: {
        url: {
          type: 'string',
          description: 'Path and query below this server.',
          required: true,
          example: 'tiles/0/0/0.png',
        },
        seconds: {
          type: 'integer',
          description: 'How long it may be read.',
          min: 1,
          max: MAX_SECONDS,
          fallback: DEFAULT_SECONDS,
        },
      },
    },
    answers: { 200: '`url` with the parameters `expires` (seconds since 1970) and `signature`.' },
    cost: 'change',
  })
  app.post<{ Querystring: Parameters; Body: unknown }>('/signatures', doc, (request, reply) => {
    const fields = readFields(request)
    requireRight(request, fields, policy)
    if (!signer) {
      throw new RequestRefusal('NOT_CONFIGURED', 'This server has no token to sign with; start it with --token.')
    }
    // On 127.0.0.1, changes need no token; who could read for good by one request would need none either.
    if (!isTokenValid(presentedToken(request.headers, fields), policy.token)) {
      throw new RequestRefusal('TOKEN_NEEDED', 'A signature needs the token that the server printed when it started.')
    }
    const url = readText(fields, 'url')
    if (url === undefined) throw new UsageError('The parameter url is missing.')
    const seconds = readInteger(fields, 'seconds', { min: 1, max: MAX_SECONDS }) ?? DEFAULT_SECONDS
    reply.header('cache-control', 'no-store').send({ url: sign(signer, url, seconds) })
  })
}

function sign(signer: UrlSigner, url: string, seconds: number): string {
  const isPath = !/^[a-z][a-z0-9+.-]*:|^\/[/\\]|[\\#\s\p{Cc}]/iu.test(url)
  if (isPath) {
    try {
      return signer.sign(url, Math.floor(Date.now() / 1000) + seconds)
    } catch (error) {
      if (!(error instanceof URIError)) throw error
    }
  }
  throw new UsageError(
    `The parameter url is ${quote(url)}; it must be a path below this server, such as tiles/0/0/0.png.`,
  )
}
