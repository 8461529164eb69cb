/** A million moves have four million. */
export const MAX_JSON_VALUES = 2 ** 24

const VALUE_STARTS = new Uint8Array(256)
for (const character of ',[{') VALUE_STARTS[character.charCodeAt(0)] = 1

/**
 * Whether a JSON text holds no more values than are read. Each takes up to sixty bytes of memory, and as little as two
 * of text: a short `[{},{},…` would end the process.
 *
 * @param bytes UTF-8. What stands in strings is counted too, so that this is quick.
 */
export function hasFewJsonValues(bytes: Uint8Array): boolean {
  let values = 1
  for (let i = 0; i < bytes.length; i++) values += VALUE_STARTS[bytes[i]!]!
  return values <= MAX_JSON_VALUES
}
