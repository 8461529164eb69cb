import { CorruptDataError, LimitExceededError } from '../../errors.js'
import { hasFewJsonValues, MAX_JSON_VALUES } from '../json-values.js'

/**
 * Parse JSON as Python writes it, in which the bare words NaN, Infinity and -Infinity may stand for numbers.
 * They become null: none of them is a number that can be used, and JSON could not say them again.
 *
 * @throws {CorruptDataError} neither JSON nor Python's JSON. @throws {LimitExceededError} too many values.
 */
export function parsePythonJson(bytes: Uint8Array, url: string): unknown {
  if (!hasFewJsonValues(bytes))
    throw new LimitExceededError(`${url} holds more than ${MAX_JSON_VALUES} values of JSON; no more are read.`, { url })
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return JSON.parse(/NaN|Infinity/.test(text) ? withoutBareWords(text) : text)
  } catch (cause) {
    // Node quotes the text in its message, which is for those who may read the file only.
    throw new CorruptDataError(`${url} is not valid JSON.`, { url, cause })
  }
}

function withoutBareWords(text: string): string {
  // Strings are matched so that words inside them stay; the closing quote is optional to keep this linear.
  return text.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*"?|-?\b(?:NaN|Infinity)\b/g, token =>
    token.startsWith('"') ? token : 'null',
  )
}
