import { parseArgs } from 'node:util'
import { closest, distance } from 'fastest-levenshtein'
import { UsageError } from './errors.js'

/** One flag: how it is written, what it means, and where else its value may come from. */
export interface Flag {
  readonly name: string
  /** Undefined for a switch. */
  readonly value?: string
  readonly repeatable?: boolean
  readonly help: string
  /** Shown in the help; the code that reads the flag applies it. */
  readonly fallback?: string
  /** Environment variable that stands in for the flag. */
  readonly env?: string
}

export interface FlagGroup {
  readonly title: string
  readonly flags: readonly Flag[]
}

const LOG_LEVEL: Flag = {
  name: 'log-level',
  value: 'LEVEL',
  help: 'silent, error, warn, info or debug; logs are JSON lines on standard error',
  fallback: 'warn',
  env: 'TILESTAGE_LOG_LEVEL',
}

const PROGRESS: Flag = {
  name: 'progress',
  value: 'auto|json|none',
  help: 'a bar on a terminal, or one JSON object a line',
  fallback: 'auto',
}

const OUTPUT: Flag = { name: 'output', value: 'DIR', help: 'folder of the pyramid; made if absent' }

const FORMAT: Flag = {
  name: 'format',
  value: 'ome-zarr|pyme',
  help: 'what the pyramid is written as: OME-Zarr, or the files of a PYME pyramid',
  fallback: 'ome-zarr',
}

const SERIES: FlagGroup = {
  title: 'Series',
  flags: [
    {
      name: 'cluster',
      value: 'HOST:PORT,…',
      help: 'the data servers of pyme-cluster://NAME/…',
      fallback: 'those that announce themselves on the network',
    },
    {
      name: 'unit',
      value: 'UNIT',
      help: 'what lengths in a file are measured in, instead of what it says: m, mm, um, nm, pm or angstrom',
    },
    {
      name: 'axes',
      value: 'LETTERS',
      help: 'what stands along the axes of an array: y and x, c for colours or layers, z, t or n for further images; e.g. cyx',
    },
    { name: 'shape', value: 'HxW', help: 'of the images of a stack whose rows are flattened images' },
    {
      name: 'table',
      value: 'FILE',
      help: 'a row for each image of a stack (.csv, .tsv, .ndjson), to show and to filter by',
    },
  ],
}

const BUILD_GROUPS: readonly FlagGroup[] = [
  SERIES,
  {
    title: 'Place',
    flags: [
      {
        name: 'origin',
        value: 'X,Y',
        help: 'stage position of mosaic pixel (0, 0), µm',
        fallback: 'the smallest x and y',
      },
      {
        name: 'pixel-size',
        value: 'UM[,UM]',
        help: 'edge of a pixel in the sample, µm (x,y), instead of what the metadata says',
      },
      { name: 'flip-image', value: 'x|y', repeatable: true, help: 'mirror every frame along an axis' },
      { name: 'rotate-image', value: '90|180|270', help: 'rotate every frame clockwise, after mirroring' },
      { name: 'stage-sign', value: 'x=-1,y=-1', help: 'reverse an axis of the stage positions' },
    ],
  },
  {
    title: 'Join',
    flags: [
      { name: 'channel', value: 'NAME=GLOB', repeatable: true, help: 'the series of one channel' },
      { name: 'as', value: 'time', help: 'every series is a time point' },
      { name: 'merge', help: 'blend series that cover the same area' },
    ],
  },
  {
    title: 'Pixels',
    flags: [
      {
        name: 'blend',
        value: 'feather|mean|last|pyme',
        help: 'what happens where frames overlap',
        fallback: 'feather',
      },
      {
        name: 'dark',
        value: 'N|FILE',
        help: 'dark level in counts, or a dark image (.npy, .pzf), instead of Camera.ADOffset',
      },
      { name: 'gain', value: 'FILE', help: 'image that counts above dark are multiplied by' },
      { name: 'illumination', value: 'FILE', help: 'image that counts above dark are divided by' },
      {
        name: 'dtype',
        value: 'TYPE',
        help: 'uint8, uint16, int16, uint32, int32, float32 or float64',
        fallback: 'the smallest exact one',
      },
      { name: 'tile-size', value: 'PX', help: '128, 256, 512 or 1024', fallback: '256' },
    ],
  },
  {
    title: 'Run',
    flags: [
      { name: 'overwrite', help: 'replace a pyramid of other series or settings' },
      { name: 'watch', help: 'follow series that are still being acquired, and wait for those that are to come' },
      { name: 'wait', help: 'where another build writes to the output, wait for it and go on from there' },
      { name: 'workers', value: 'N', help: 'threads that read and blend', fallback: 'one a processor' },
      { name: 'memory', value: 'SIZE', help: 'bound on the memory of the build, from 300MiB', fallback: '512MiB' },
      { name: 'strict', help: 'stop at the first frame that cannot be read' },
      PROGRESS,
    ],
  },
]

/** Flags that say how series become a pyramid. */
export const BUILD_FLAGS: readonly string[] = BUILD_GROUPS.flatMap(group => group.flags.map(flag => flag.name))

const SERVE_FLAGS: readonly Flag[] = [
  {
    name: 'host',
    value: 'ADDRESS',
    help: 'address to listen on; others than loopback need --root',
    fallback: '127.0.0.1',
    env: 'TILESTAGE_HOST',
  },
  { name: 'port', value: 'N', help: 'port to listen on; 0 takes a free one', fallback: '8979', env: 'TILESTAGE_PORT' },
  {
    name: 'root',
    value: 'DIR',
    repeatable: true,
    help: 'pyramids are opened below these folders only',
    env: 'TILESTAGE_ROOT',
  },
  {
    name: 'output-root',
    value: 'DIR',
    help: 'folder below which POST /builds may write pyramids; without it the server builds none',
    env: 'TILESTAGE_OUTPUT_ROOT',
  },
  {
    name: 'token',
    value: 'TEXT',
    help: 'what every change needs where others reach the server; made up if not given',
    env: 'TILESTAGE_TOKEN',
  },
  { name: 'private', help: 'reading needs the token, too, also on 127.0.0.1' },
  {
    name: 'cors',
    value: 'ORIGIN',
    repeatable: true,
    help: "origin such as https://lab.example whose pages may read, '*' for any",
    env: 'TILESTAGE_CORS',
  },
  {
    name: 'allowed-host',
    value: 'NAME',
    repeatable: true,
    help: "host name the server may be called by, '*' for any",
    env: 'TILESTAGE_ALLOWED_HOST',
  },
  {
    name: 'base-path',
    value: 'PATH',
    help: 'path prefix below which a proxy shows the server, e.g. /tiles/',
    fallback: '/',
    env: 'TILESTAGE_BASE_PATH',
  },
  {
    name: 'trust-proxy',
    help: 'believe X-Forwarded-For and -Host: all come through one proxy; needs --root',
  },
  {
    name: 'rate-limit',
    value: 'N',
    help: 'requests a second that one client may send, 0 for any number',
    fallback: '0 on loopback, else 1000',
    env: 'TILESTAGE_RATE_LIMIT',
  },
  {
    name: 'detector',
    value: '[NAME=]COMMAND',
    repeatable: true,
    help: 'program that finds objects: {pyramid} {level} {recipe} {output} stand for paths and the level; it writes a CSV or HDF5 table with x_um and y_um to {output}',
  },
  {
    name: 'cache',
    value: 'SIZE',
    help: 'memory for tiles, e.g. 512MiB, on top of what a build takes',
    fallback: '512MiB',
    env: 'TILESTAGE_CACHE',
  },
]

/** Flags that say what kind of server it is, and where. */
export const SERVER_FLAGS: readonly string[] = SERVE_FLAGS.map(flag => flag.name)

const EXPORT_GROUPS: readonly FlagGroup[] = [
  {
    title: 'Output',
    flags: [
      { name: 'to', value: 'PATH', help: 'folder to write to, which may be a mounted bucket; made if absent' },
      {
        name: 'format',
        value: 'FORMAT',
        help: 'static: a page for any web host; dzi; images: one a layer; figure: a grid of titled layers; tiff: a pyramidal OME-TIFF; ome-zarr-0.4; pyme',
      },
      { name: 'grid', help: 'the static page shows all channels side by side; it leads to the viewer, and back' },
      { name: 'keep', help: 'leave the tiles of earlier versions of a static page' },
      PROGRESS,
    ],
  },
  {
    title: 'Pictures',
    flags: [
      {
        name: 'image-format',
        value: 'EXT',
        help: 'jpg or png of images and dzi, png or svg of a figure',
        fallback: 'jpg for images, else png',
      },
      { name: 'stretch', value: 'NAME', help: 'linear, sqrt, log or equalize', fallback: 'linear' },
      { name: 'lut', value: 'COLOURS', help: 'a colour map such as viridis, or six hex digits', fallback: 'grey' },
      { name: 'heading', value: 'TEXT', help: 'above the figure', fallback: 'what the names begin with' },
    ],
  },
  {
    title: 'Names',
    flags: [
      {
        name: 'object',
        value: 'NAME',
        help: 'files are called {object}/images/{object}_{kind}_{title}.{ext}, and the page {object}/html/{object}_{kind}.html',
      },
      { name: 'kind', value: 'NAME', help: 'what is shown of the object; goes with --object' },
      { name: 'names', value: 'A,B,…', help: 'titles of the layers', fallback: 'the names of the channels' },
      { name: 'subdir', value: 'PATH', help: 'folders below --to, in front of all names' },
      {
        name: 'public-url',
        value: 'URL',
        help: 'where --to is seen from outside: the addresses of the results are printed',
      },
    ],
  },
]

const OPEN: Flag = { name: 'open', help: 'open a browser' }

const GRID: Flag = { name: 'grid', help: 'give the address of the page that shows all channels side by side' }

export interface Command {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly groups: readonly FlagGroup[]
  readonly examples: readonly string[]
}

export const COMMANDS: readonly Command[] = [
  {
    name: 'build',
    usage: 'build <series…> --output DIR',
    summary: 'stitch tile-acquisition series into one pyramid',
    groups: [{ title: 'Output', flags: [OUTPUT, FORMAT] }, ...BUILD_GROUPS],
    examples: [
      "tilestage build 'plate_07/*.pcs' --output /ssd/plate_07",
      "tilestage build --channel DAPI='dapi/*.pcs' --channel GFP='gfp/*.pcs' --output /ssd/two_channels",
      'tilestage build well_A1.pcs --output /ssd/a1 --blend pyme --format pyme',
    ],
  },
  {
    name: 'serve',
    usage: 'serve [DIR…]',
    summary: 'show pyramids in browsers; the first one is shown at first',
    groups: [{ title: 'Server', flags: [...SERVE_FLAGS, LOG_LEVEL] }],
    examples: [
      'tilestage serve /ssd/plate_07',
      'tilestage serve --host 0.0.0.0 --root /ssd --allowed-host microscope.lab',
      "curl 'http://127.0.0.1:8979/set_tile_source?tile_dir=/ssd/plate_08'",
    ],
  },
  {
    name: 'view',
    usage: 'view <series… or DIR>',
    summary: 'serve series while they are built and grow, or a pyramid',
    groups: [
      { title: 'Output', flags: [{ ...OUTPUT, fallback: 'a folder of the cache' }, OPEN, GRID] },
      ...BUILD_GROUPS,
      { title: 'Server', flags: [...SERVE_FLAGS, LOG_LEVEL] },
    ],
    examples: [
      'tilestage view plate_07',
      "tilestage view 'plate_07/well_A*.pcs'",
      'tilestage view /ssd/plate_07 --open',
    ],
  },
  {
    name: 'info',
    usage: 'info <series… or DIR>',
    summary: 'say what series or a pyramid hold',
    groups: [
      {
        title: 'Output',
        flags: [
          { name: 'json', help: 'one JSON document' },
          { name: 'tree', help: 'every group, dataset, attribute and reference of an HDF5 file or a zarr folder' },
        ],
      },
      SERIES,
    ],
    examples: [
      "tilestage info 'plate_07/*.pcs'",
      'tilestage info /ssd/plate_07 --json',
      'tilestage info scan.h5 --tree',
    ],
  },
  {
    name: 'export',
    usage: 'export DIR --to PATH --format FORMAT',
    summary: 'write a pyramid as files that need no server, or as what other programs read',
    groups: EXPORT_GROUPS,
    examples: [
      'tilestage export /ssd/plate_07 --to public_html/plate_07 --format static',
      'tilestage export maps --to /mnt/bucket --format images --object RP-T-1898 --kind elementmap',
    ],
  },
  {
    name: 'demo',
    usage: 'demo',
    summary: 'build and serve the three-well sample plate',
    groups: [{ title: 'Server', flags: [OPEN, GRID, PROGRESS, ...SERVE_FLAGS, LOG_LEVEL] }],
    examples: ['tilestage demo --open'],
  },
]

/** The values of a flag and how they were written: `--port`, or the environment variable that stands in for it. */
interface GivenFlag {
  readonly writtenAs: string
  readonly texts: readonly string[]
}

/** The parsed flags of one command; every getter knows where the value came from and says so when it is wrong. */
export class Flags {
  readonly positionals: readonly string[]
  readonly #given: ReadonlyMap<string, GivenFlag>

  constructor(positionals: readonly string[], given: ReadonlyMap<string, GivenFlag>) {
    this.positionals = positionals
    this.#given = given
  }

  withPositionals(positionals: readonly string[]): Flags {
    return new Flags(positionals, this.#given)
  }

  has(name: string): boolean {
    return this.#given.has(name)
  }

  all(name: string): readonly string[] {
    return this.#given.get(name)?.texts ?? []
  }

  text(name: string): string | undefined {
    return this.all(name).at(-1)
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined || (allowed as readonly string[]).includes(text)) return text as T | undefined
    throw this.wrong(name, allowed.length === 1 ? `it is ${allowed[0]}` : `it is one of ${allowed.join(', ')}`)
  }

  integer(name: string, least: number, most: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw this.wrong(name, `it is a whole number from ${least} to ${most}`)
  }

  /** One or more finite numbers between commas; undefined where the flag is not given or is anything else. */
  numbers(name: string): readonly number[] | undefined {
    const numbers = this.text(name)
      ?.split(',')
      .map(part => (part.trim() === '' ? Number.NaN : Number(part)))
    return numbers?.every(Number.isFinite) ? numbers : undefined
  }

  /** A size such as `512MiB` or `2GB`, in bytes. */
  bytes(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)?$/i.exec(text.trim())
    const power = match?.[2] ? 'kmgt'.indexOf(match[2].toLowerCase()) + 1 : 0
    const bytes = Math.round(Number(match?.[1]) * (match?.[3] ? 1024 : 1000) ** power)
    if (Number.isSafeInteger(bytes)) return bytes
    throw this.wrong(name, 'it is a size such as 512MiB')
  }

  /** The sentence for a value that makes no sense: what was found, then what is possible. */
  wrong(name: string, possible: string): UsageError {
    return new UsageError(`${this.#given.get(name)?.writtenAs} ${this.text(name)} is not possible; ${possible}.`)
  }
}

/**
 * Read the arguments of one command: flag over environment.
 *
 * @throws {UsageError} an unknown flag (with the nearest known one), a missing value, a value where none is taken.
 */
export function parseFlags(command: Command, args: readonly string[], env: NodeJS.ProcessEnv): Flags {
  const flags = command.groups.flatMap(group => group.flags)
  const known = new Map(flags.map(flag => [flag.name, flag]))
  const options = Object.fromEntries(
    flags.map(flag => [flag.name, { type: flag.value ? 'string' : 'boolean', multiple: true } as const]),
  )
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true, allowPositionals: true })
  const positionals: string[] = []
  const given = new Map<string, GivenFlag>()
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const flag = known.get(token.name)
    if (!flag) throw unknownFlag(command, token.rawName, [...known.keys()])
    if (!flag.value && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value.`)
    // `--output --strict` is a forgotten value; a folder of that name is written --output=--strict.
    const forgotten = !token.inlineValue && token.value?.startsWith('--')
    if (flag.value && (!token.value || forgotten))
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${flag.value}.`)
    const before = given.get(flag.name)?.texts ?? []
    if (before.length > 0 && flag.value && !flag.repeatable) throw new UsageError(`${token.rawName} is given twice.`)
    given.set(flag.name, { writtenAs: token.rawName, texts: [...before, token.value ?? ''] })
  }
  for (const flag of flags) {
    const text = flag.env === undefined ? undefined : env[flag.env]
    if (!flag.env || !text || given.has(flag.name)) continue
    given.set(flag.name, { writtenAs: flag.env, texts: flag.repeatable ? text.split(',') : [text] })
  }
  return new Flags(positionals, given)
}

function unknownFlag(command: Command, raw: string, names: readonly string[]): UsageError {
  const nearest = nearestName(raw.replace(/^-+/, ''), names)
  const hint = nearest ? `did you mean --${nearest}?` : `tilestage ${command.name} --help lists its flags.`
  return new UsageError(`tilestage ${command.name} knows no flag ${raw}; ${hint}`)
}

/** @throws {UsageError} no such command, with the nearest one. */
export function findCommand(name: string): Command {
  const command = COMMANDS.find(candidate => candidate.name === name)
  if (command) return command
  const names = COMMANDS.map(candidate => candidate.name)
  const nearest = nearestName(name, names)
  const hint = nearest ? `did you mean tilestage ${nearest}?` : `the commands are ${names.join(', ')}.`
  throw new UsageError(`There is no command ${name}; ${hint}`)
}

/** The name that was probably meant; undefined where none is near, for a wild guess misleads. */
function nearestName(typed: string, names: readonly string[]): string | undefined {
  const nearest = closest(typed, names)
  const isNear = nearest.startsWith(typed) || distance(typed, nearest) <= Math.max(1, nearest.length / 2 - 1)
  return typed !== '' && isNear ? nearest : undefined
}

const INDENT = '  '

/** Help is wrapped at this many columns: two halves of a wide screen, and most terminals. */
const HELP_COLUMNS = 100

/** Help for the program. */
export function programHelp(version: string): string {
  const width = Math.max(...COMMANDS.map(({ usage }) => usage.length)) + 2
  return [
    `tilestage ${version}: tile-acquisition series in, one zoomable plate in every browser out.`,
    '',
    ...COMMANDS.map(({ usage, summary }) => `${INDENT}tilestage ${usage.padEnd(width)}${summary}`),
    '',
    `${INDENT}tilestage <command> --help${' '.repeat(Math.max(1, width - 16))}flags and examples of a command`,
    '',
    'Exit status: 0 fine, 1 failed, 2 done but for what could not be read, 64 wrong usage, 130 or 143 stopped by a signal.',
    '',
  ].join('\n')
}

/** Help for one command, printed from the same table that parses it. */
export function commandHelp(command: Command): string {
  const heads = command.groups.flatMap(group => group.flags.map(headOf))
  const width = Math.max(...heads.map(head => head.length)) + 2
  const lines = [`tilestage ${command.usage}`, `${INDENT}${command.summary}`, '']
  for (const group of command.groups) {
    lines.push(group.title)
    for (const flag of group.flags) {
      const notes = [
        flag.repeatable && 'repeatable',
        flag.fallback && `default ${flag.fallback}`,
        flag.env && `or ${flag.env}${flag.repeatable ? ', with commas' : ''}`,
      ]
      const shown = notes.filter(Boolean).join(', ')
      const text = wrap(`${flag.help}${shown ? ` (${shown})` : ''}`, HELP_COLUMNS - INDENT.length - width)
      text.forEach((line, i) => {
        lines.push(`${INDENT}${(i === 0 ? headOf(flag) : '').padEnd(width)}${line}`)
      })
    }
    lines.push('')
  }
  lines.push('Examples', ...command.examples.map(example => `${INDENT}${example}`), '')
  return lines.join('\n')
}

function headOf({ name, value }: Flag): string {
  return value ? `--${name} ${value}` : `--${name}`
}

function wrap(text: string, columns: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = `${lines[lines.length - 1]} ${word}`.trimStart()
    if (line.length > columns) lines.push(word)
    else lines[lines.length - 1] = line
  }
  return lines
}
