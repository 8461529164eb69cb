import type { FastifyRequest } from 'fastify'
import type { Parameters } from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { type AccessPolicy, judgeStateChange, presentedToken } from './access-policy.js'
import { expectFewWrongTokens } from './guard.js'

/**
 * Let only those on who may change something. Routes call it before they look at anything else of the request.
 *
 * @param fields of the request; a token may be among them.
 * @throws {RequestRefusal} no token where one is needed, too many wrong ones, or the page of another site.
 */
export function requireRight(request: FastifyRequest, fields: Parameters, policy: AccessPolicy): void {
  const { headers, ip } = request
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  const from = {
    host: request.host,
    secFetchSite: header('sec-fetch-site'),
    origin: header('origin'),
    referer: header('referer'),
  }
  const token = presentedToken(headers, fields)
  if (token !== undefined) expectFewWrongTokens(ip, policy)
  const verdict = judgeStateChange(from, token, policy)
  if (verdict === 'pass') return
  if (token !== undefined) policy.wrongTokens.add(ip, token)
  if (verdict === 'token needed') {
    throw new RequestRefusal(
      'TOKEN_NEEDED',
      token === undefined
        ? 'A change needs the token that the server printed when it started.'
        : 'The token is not valid; a change needs the one that the server printed when it started.',
    )
  }
  throw new RequestRefusal(
    'CROSS_SITE',
    "A page of another site may not change anything here; give the server's token if it shall.",
  )
}
