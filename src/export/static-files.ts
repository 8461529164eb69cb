/** Which plane an answer is of, as queries name it. */
const PLANE = ['channel', 't', 'depth'] as const
const RECTANGLE = ['x', 'y', 'w', 'h'] as const

/**
 * Where an export keeps the answer to what the page asks: the one list that the export writes by and its page reads by.
 *
 * @param url as the page asks a server, relative.
 * @returns a name below the folder of tiles or of everything else; undefined where an export has no answer.
 */
export function fileOfAnswer(url: string): { readonly folder: 'tiles' | 'view'; readonly name: string } | undefined {
  const [path = '', queryText] = url.split('?')
  const query = new URLSearchParams(queryText)
  const [first, id, ...rest] = path.split('/')
  const listed = (names: readonly string[]): string | undefined => {
    const values = names.map(name => query.get(name))
    return values.every(value => value !== null && /^\d+$/.test(value)) ? values.join('-') : undefined
  }
  const view = (name: string) => ({ folder: 'view', name: `${name}.json` }) as const
  if (path === 'current' || path === 'healthz' || path === 'pyramids') return view(path)
  if (first !== 'pyramids' || id === undefined) return undefined
  const plane = listed(PLANE)
  const rectangle = listed(RECTANGLE)
  switch (rest[0]) {
    case undefined:
      return view('pyramid')
    case 'coverage':
      return plane === undefined ? undefined : view(`coverage/${plane}`)
    case 'placement':
      return rectangle === undefined ? view('placement') : undefined
    case 'histogram':
      // Regions are asked for in micrometres; wells are whole pixels.
      if (rectangle === undefined) return query.has('x') ? undefined : view(`histogram/${query.get('channel')}`)
      return plane !== undefined && query.get('units') === 'px' ? view(`histogram/${plane}/${rectangle}`) : undefined
    case 'equalization':
      return view(`equalization/${query.get('channel')}`)
    case 'tiles':
      return plane === undefined ? undefined : { folder: 'tiles', name: [plane, ...rest.slice(1)].join('/') }
    default:
      return undefined
  }
}
