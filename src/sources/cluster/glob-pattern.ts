/** Whether a path is a pattern. Braces and `**` mean nothing to PYME's servers, which match as Python does. */
export function isGlob(path: string): boolean {
  return /[*?[]/.test(path)
}

/** A part of a pattern that stands for one character. */
type Matcher = (character: string) => boolean

/**
 * What Python's `fnmatch` takes for a match of one segment of a path: `*`, `?`, `[abc]`, `[!abc]`. Hidden names match
 * only what begins with a dot.
 */
export function matchSegment(pattern: string): (name: string) => boolean {
  if (!isGlob(pattern)) return name => name === pattern
  const parts = parsePattern(pattern)
  return name => (!name.startsWith('.') || pattern.startsWith('.')) && matches([...name], parts)
}

/**
 * A regular expression would try for ages where stars are many; this takes at most characters × parts steps: where
 * something does not fit, the last star takes one character more, and those before it stay as they are.
 */
function matches(characters: readonly string[], parts: readonly (Matcher | '*')[]): boolean {
  let at = 0
  let part = 0
  let lastStar = -1
  let takenByStar = 0
  while (at < characters.length) {
    const expected = parts[part]
    if (expected === '*') {
      lastStar = part++
      takenByStar = at
    } else if (expected?.(characters[at]!)) {
      at++
      part++
    } else if (lastStar >= 0) {
      part = lastStar + 1
      at = ++takenByStar
    } else return false
  }
  return parts.slice(part).every(rest => rest === '*')
}

function parsePattern(pattern: string): (Matcher | '*')[] {
  const characters = [...pattern]
  const parts: (Matcher | '*')[] = []
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!
    if (character === '*') parts.push('*')
    else if (character === '?') parts.push(() => true)
    else {
      const isNegated = characters[i + 1] === '!'
      const from = isNegated ? i + 2 : i + 1
      // A bracket that closes stands for itself where it is the first of a set.
      const end = character === '[' ? characters.indexOf(']', from + 1) : -1
      if (end < 0) parts.push(found => found === character)
      else {
        const isInSet = parseSet(characters.slice(from, end))
        parts.push(found => isInSet(found) !== isNegated)
        i = end
      }
    }
  }
  return parts
}

/** Single characters and ranges; a range that goes backwards holds nothing. */
function parseSet(characters: readonly string[]): Matcher {
  const ranges: [first: string, last: string][] = []
  for (let i = 0; i < characters.length; i++) {
    const isRange = characters[i + 1] === '-' && i + 2 < characters.length
    ranges.push([characters[i]!, characters[isRange ? i + 2 : i]!])
    if (isRange) i += 2
  }
  return found => ranges.some(([first, last]) => first <= found && found <= last)
}
