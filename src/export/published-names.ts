import { UsageError } from '../errors.js'

/** How the parts of an export are called, as the user wishes. */
export interface NameWishes {
  /** What is shown, e.g. `RP-T-1898`; with `kind`. */
  readonly object?: string
  /** How it is shown, e.g. `elementmap`. */
  readonly kind?: string
  /** Folders between the target and the object. */
  readonly subdir?: string
  /** Titles of the layers, instead of the names of the channels. */
  readonly titles?: readonly string[]
}

/** Names below the target's folder, with slashes. */
export interface PublishedNames {
  /** The web page. */
  readonly page: string
  /** Of each layer, in the order of the channels. */
  readonly titles: readonly string[]
  /** What the names of all files of the export begin with, without a folder. */
  readonly stem: string
  /** An image of the whole, or, with a title, of one layer. */
  image(extension: string, title?: string): string
}

/** As far as file systems go, with room for what is put before and behind. */
const MAX_NAME_LENGTH = 120

/**
 * `{object}/html/{object}_{kind}.html` and `{object}/images/{object}_{kind}_{title}.{ext}`; without an object
 * `index.html` and `{pyramid}_{title}.{ext}`.
 *
 * @param pyramid its name. @param channels their names.
 * @throws {UsageError} a name that cannot be one of a file, or two that are the same.
 */
export function publishedNames(pyramid: string, channels: readonly string[], wishes: NameWishes): PublishedNames {
  const { object, kind, subdir, titles = channels } = wishes
  if ((object === undefined) !== (kind === undefined))
    throw new UsageError('--object and --kind go together: files are called {object}_{kind}_{title}.')
  if (titles.length !== channels.length) {
    const layers = channels.length === 1 ? 'there is 1 layer' : `there are ${channels.length} layers`
    throw new UsageError(`--names lists ${titles.length} names, and ${layers}: ${channels.join(', ')}.`)
  }
  if (object !== undefined) checkName(object, '--object')
  if (kind !== undefined) checkName(kind, '--kind')
  for (const part of subdir?.split('/') ?? []) checkName(part, '--subdir')
  const source = wishes.titles ? '--names' : 'a channel'
  const hint = wishes.titles ? '' : '; --names gives others'
  const seen = new Map<string, string>()
  for (const title of titles) {
    checkName(title, source, hint)
    // Some file systems take capital letters for small ones.
    const same = seen.get(title.toLowerCase())
    if (same !== undefined)
      throw new UsageError(
        `${source} is called ${quote(title)}, and another ${quote(same)}: their files would be one${hint}.`,
      )
    seen.set(title.toLowerCase(), title)
  }
  const below = subdir === undefined ? '' : `${subdir}/`
  const stem = object === undefined ? pyramid : `${object}_${kind}`
  const withTitle = (title: string | undefined): string => (title === undefined ? stem : `${stem}_${title}`)
  return {
    page: object === undefined ? `${below}index.html` : `${below}${object}/html/${stem}.html`,
    titles,
    stem,
    image: (extension, title) =>
      `${below}${object === undefined ? '' : `${object}/images/`}${withTitle(title)}.${extension}`,
  }
}

function checkName(name: string, source: string, hint = ''): void {
  const problem =
    (name === '' && 'is empty') ||
    (/[/\\]/.test(name) && 'holds a slash') ||
    (/[\p{Cc}<>:"|?*]/u.test(name) && 'holds a character that not every file system takes') ||
    (/^\.|[. ]$|^ /.test(name) && 'begins or ends with a dot or a space') ||
    (name.length > MAX_NAME_LENGTH && `is longer than ${MAX_NAME_LENGTH} characters`)
  if (problem)
    throw new UsageError(
      `${source} is called ${quote(name)}, which ${problem}; it becomes part of a file's name${hint}.`,
    )
}

/** The address of an object below a public URL. */
export function publicUrlOf(base: string, name: string): string {
  const path = name.split('/').map(encodeURIComponent).join('/')
  return `${base.endsWith('/') ? base : `${base}/`}${path}`
}

function quote(text: string): string {
  return JSON.stringify(text)
}
