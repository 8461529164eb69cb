import type { FastifyRequest } from 'fastify'
import { type AccessPolicy, judgeStateChange, presentedToken } from './access.js'
import type { Parameters } from './parameters.js'
import { RequestRefusal } from './request-refusal.js'

/**
 * Let only those on who may change something. Routes call it before they look at anything else of the request.
 *
 * @param fields of the request; a token may be among them.
 * @throws {RequestRefusal} no token where one is needed, or the page of another site.
 */
export function requireRight({ headers }: FastifyRequest, fields: Parameters, policy: AccessPolicy): void {
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  const from = {
    host: header('host'),
    secFetchSite: header('sec-fetch-site'),
    origin: header('origin'),
    referer: header('referer'),
  }
  switch (judgeStateChange(from, presentedToken(headers, fields), policy)) {
    case 'token needed':
      throw new RequestRefusal('TOKEN_NEEDED', 'A change needs the token that the server printed when it started.')
    case 'cross-site':
      throw new RequestRefusal(
        'CROSS_SITE',
        "A page of another site may not change anything here; give the server's token if it shall.",
      )
    case 'pass':
  }
}
