import { UsageError } from '../../errors.js'
import { type Parameters, quote } from '../http/parameters.js'
import { PICTURE_PARAMETERS, VERSION_DOC } from '../openapi/picture-doc.js'

const NAMES = [...Object.keys(PICTURE_PARAMETERS), ...Object.keys(VERSION_DOC)]

/** What a IIIF identifier names: a pyramid and how it looks. */
export interface Identifier {
  readonly id: string
  readonly look: Parameters
}

/**
 * Read `ID` or `ID;channel=0,1;lut=magma`: viewers put more behind an identifier and know nothing of queries, so that
 * the look has to be part of it.
 *
 * @throws {UsageError} what stands behind the id is no look.
 */
export function readIdentifier(text: string): Identifier {
  const [id, ...parts] = text.split(';')
  const look: Record<string, string> = {}
  for (const part of parts) {
    const [, name, value] = /^(\w+)=(.+)$/.exec(part) ?? []
    if (name === undefined || !NAMES.includes(name) || name in look) {
      throw new UsageError(
        `The identifier has ${quote(part)}; what stands between semicolons is NAME=VALUE, once each, of ${NAMES.join(', ')}.`,
      )
    }
    look[name] = value
  }
  return { id, look }
}

/** The identifier as it stands in a URL. */
export function writeIdentifier({ id, look }: Identifier): string {
  const parts = Object.entries(look).map(([name, value]) => `;${name}=${encodeURIComponent(String(value))}`)
  return `${encodeURIComponent(id)}${parts.join('')}`
}
