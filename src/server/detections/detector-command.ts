import { parseArgsStringToArgv } from 'string-argv'
import { BUILT_IN_DETECTORS } from '../../detect/detection.js'
import { UsageError } from '../../errors.js'

/** What a command that has no name of its own is called; `/run_recipe_for_locations` runs it. */
export const RECIPE_DETECTOR = 'recipe'

/** A program that finds objects, as whoever started the server configured it. */
export interface DetectorCommand {
  readonly name: string
  /** Program and arguments, with placeholders `{pyramid}`, `{level}`, `{recipe}` and `{output}`. */
  readonly words: readonly string[]
}

/**
 * The commands of `--detector NAME=COMMAND` or `--detector COMMAND`.
 *
 * @throws {UsageError} a command without a place for its output, or a name that is taken.
 */
export function parseDetectors(texts: readonly string[]): DetectorCommand[] {
  const taken = new Set<string>(BUILT_IN_DETECTORS)
  return texts.map(text => {
    const [, name = RECIPE_DETECTOR, command] = /^(?:([A-Za-z][\w-]*)=)?(.*)$/s.exec(text)!
    const words = parseArgsStringToArgv(command)
    if (words.length === 0) throw new UsageError(`--detector ${text} names no command.`)
    if (taken.has(name)) {
      throw new UsageError(`--detector ${text}: there is a detector ${name} already; write --detector NAME=COMMAND.`)
    }
    if (!words.some(word => word.includes('{output}'))) {
      throw new UsageError(
        `--detector ${text} has no {output}; the command gets there the path that it writes its table to.`,
      )
    }
    taken.add(name)
    return { name, words }
  })
}

/** Whether a command cannot run without a recipe. */
export function needsRecipe({ words }: DetectorCommand): boolean {
  return words.some(word => word.includes('{recipe}'))
}
