import { createHmac, timingSafeEqual } from 'node:crypto'

/** What the key is for: the token itself signs nothing. */
const PURPOSE = 'tilestage: signed URLs'

/** Base to resolve what has no host. */
const ANYWHERE = 'http://unset.invalid/'

/** Signs single URLs, for those who have the token to hand them to what cannot send it: an `<img>`, a report. */
export class UrlSigner {
  readonly #key: Buffer

  constructor(token: string) {
    this.#key = createHmac('sha256', token).update(PURPOSE).digest()
  }

  /**
   * @param url path and query, below this server; parameters `expires` and `signature` are replaced.
   * @param expiresS seconds since 1970, after which the signature is worth nothing.
   * @returns the URL, relative where it was, with its signature.
   * @throws {URIError} an escape in the path is malformed.
   */
  sign(url: string, expiresS: number): string {
    const [path, query] = splitUrl(url)
    const parameters = new URLSearchParams(query)
    parameters.delete('signature')
    parameters.set('expires', String(expiresS))
    // As a browser sends it: `..` is followed there.
    const { pathname } = new URL(path.replace(/^\/*/, ''), ANYWHERE)
    parameters.set('signature', this.#digest(pathname, parameters).toString('base64url'))
    return `${path}?${parameters}`
  }

  /** Whether a URL has a signature of this key for just this path and query, and it is still worth something. */
  isSigned(url: string, nowS: number): boolean {
    const [path, query] = splitUrl(url)
    const parameters = new URLSearchParams(query)
    const [signature, ...others] = parameters.getAll('signature')
    if (!signature || others.length > 0) return false
    parameters.delete('signature')
    const given = Buffer.from(signature, 'base64url')
    const expected = this.#digest(path, parameters)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false
    return Number(parameters.get('expires')) >= nowS
  }

  /**
   * Of the meaning of a URL, not of its spelling: proxies may spell escapes anew. A `..` is a name as any other, as it is
   * for routes: else a signature for one path would fit others that only lead there.
   */
  #digest(path: string, parameters: URLSearchParams): Buffer {
    const text = JSON.stringify([path.replace(/^\//, '').split('/').map(decodeURIComponent), ...parameters])
    return createHmac('sha256', this.#key).update(text).digest()
  }
}

function splitUrl(url: string): [path: string, query: string] {
  const mark = url.indexOf('?')
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
}
