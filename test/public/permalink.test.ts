import t from 'tap'
import { MAX_GAMMA, MIN_GAMMA } from '../../public/contrast/contrast.js'
import type { ChannelState } from '../../public/contrast/contrast-state.js'
import type { Levels } from '../../public/picture/look.js'
import { readPermalink, type SeenState, writePermalink } from '../../public/share/permalink.js'
import type { Measurement } from '../../public/tools/tools-state.js'
import { COLOUR_MAP_NAMES } from '../../src/render/colour-maps.js'
import { seededRandom } from '../seeded-random.js'

const NAMES = ['A1', 'B07', 'Länge 1', '50 %, a:b;c=d&e#f', '__proto__', 'toString', '+', '東京', '"><script>']

/** A state that the page may be in, any part of which may be as at first. */
function randomState(seed: number): SeenState {
  const random = seededRandom(seed)
  const flip = (): boolean => random() < 0.5
  const below = (end: number): number => Math.floor(random() * end)
  const among = <T>(choices: readonly T[]): T => choices[below(choices.length)] as T
  const point = () => ({ x: (random() - 0.5) * 10 ** below(8), y: (random() - 0.5) * 10 ** below(8) })
  const levels = (): Levels => {
    const black = flip() ? below(60_000) : (random() - 0.5) * 10 ** (below(60) - 30)
    const white = black + Math.abs(black) * (1e-6 + random()) + 1e-9
    return { black, white, gamma: flip() ? 1 : MIN_GAMMA + random() * (MAX_GAMMA - MIN_GAMMA) }
  }
  const channel = (): ChannelState => ({
    visible: flip(),
    automatic: flip(),
    contrast: {
      ...levels(),
      stretch: among(['linear', 'sqrt', 'log']),
      colours: flip()
        ? among(COLOUR_MAP_NAMES)
        : `#${below(2 ** 24)
            .toString(16)
            .padStart(6, '0')}`,
      inverted: flip(),
    },
    ofWells: Object.fromEntries(Array.from({ length: below(3) }, () => [among(NAMES), levels()])),
  })
  const measurement = (): Measurement => {
    const kind = among(['length', 'area', 'region'] as const)
    return { kind, points: Array.from({ length: kind === 'area' ? 3 + below(9) : 2 }, point), name: among(NAMES) }
  }
  return {
    id: among(['f00d-1', '0123456789abcdef', 'a b']),
    version: among(['1', 'x.9-y']),
    view: {
      centerUm: point(),
      umPerPx: 10 ** (random() * 8 - 4),
      rotation: flip() ? 0 : below(3600) / 10,
      yUp: flip(),
    },
    slice: { zPlane: below(3), timePoint: below(3) },
    contrast: {
      channels: new Map(Array.from({ length: 1 + below(6) }, (_, index) => [index, channel()])),
      selected: below(3),
      wells: among(['same', 'own']),
      marksClipped: flip(),
      smooth: flip(),
    },
    tools: {
      measurements: Array.from({ length: below(4) }, measurement),
      visible: { outlines: flip(), points: flip(), measurements: flip() },
    },
    dockOpen: among([true, false, undefined]),
  }
}

t.test('what is seen comes back from its link: levels exactly, places to 1e-6 µm, the zoom to 1e-9', async t => {
  for (let seed = 0; seed < 500; seed++) {
    const state = randomState(seed)
    const link = writePermalink(state)
    const { state: read, broken } = readPermalink(link)
    const failed = (what: string): string => `${what}, seed ${seed}: ${link}`
    const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6
    if (broken.length > 0) t.fail(failed(`${broken} cannot be read`))
    if (!read.view || !state.view || !read.tools || !state.tools) throw new Error(failed('a part is missing'))
    const { centerUm, umPerPx, rotation } = state.view
    const isNear =
      near(read.view.centerUm.x, centerUm.x) &&
      near(read.view.centerUm.y, centerUm.y) &&
      Math.abs(read.view.umPerPx / umPerPx - 1) <= 1e-9 &&
      near(read.view.rotation, rotation)
    if (!isNear) t.fail(failed('the view'))
    const ends = (measurements: readonly Measurement[]) => measurements.flatMap(({ points }) => points)
    const measured = ends(state.tools.measurements)
    if (!ends(read.tools.measurements).every(({ x, y }, i) => near(x, measured[i]!.x) && near(y, measured[i]!.y)))
      t.fail(failed('a measurement'))
    const exact = ({ view, tools, ...rest }: SeenState) => ({
      ...rest,
      yUp: view?.yUp,
      visible: tools?.visible,
      named: tools?.measurements.map(({ kind, name, points }) => [kind, name, points.length]),
    })
    t.strictSame(exact(read), exact(state), failed('all else'))
    t.equal(writePermalink(read), link, 'a link that was read is written as it was')
  }
})

t.test('a link is short, legible, and says nothing of what is as at first', async t => {
  const contrast = { black: 48, white: 512, gamma: 1, stretch: 'linear', colours: 'grey', inverted: false } as const
  const state: SeenState = {
    id: 'f00d',
    version: '7',
    view: { centerUm: { x: 10212.4, y: 20240.1 }, umPerPx: 0.26, rotation: 0, yUp: false },
    slice: { zPlane: 0, timePoint: 0 },
    contrast: {
      channels: new Map([
        [0, { visible: true, automatic: false, contrast, ofWells: {} }],
        [
          1,
          { visible: false, automatic: true, contrast: { ...contrast, gamma: 0.8, colours: '#ff9a1f' }, ofWells: {} },
        ],
      ]),
      selected: 0,
      wells: 'same',
      marksClipped: false,
      smooth: false,
    },
    tools: { measurements: [], visible: { outlines: false, points: true, measurements: true } },
  }
  t.equal(writePermalink(state), 'id=f00d&v=7&x=10212.4&y=20240.1&um=0.26&c=0:48..512&c=1:48..512,g0.8,ff9a1f,auto,off')
  t.strictSame(readPermalink('x=1&y=-2.5e1&um=2'), {
    state: {
      id: undefined,
      version: undefined,
      view: { centerUm: { x: 1, y: -25 }, umPerPx: 2, rotation: 0, yUp: false },
      slice: undefined,
      contrast: undefined,
      tools: undefined,
      dockOpen: undefined,
    },
    broken: [],
  })
})

t.test('what is broken, unknown or hostile is named and left out, and the rest is read', async t => {
  const wrong: readonly (readonly [link: string, broken: readonly string[]])[] = [
    ['', []],
    ['x=NaN&y=1&um=1', ['x']],
    ['x=1e308&y=1&um=1', ['x']],
    ['x=1&y=1&um=0', ['um']],
    ['x=1&y=1&um=-1', ['um']],
    ['x=0x10&y=1&um=Infinity', ['x', 'um']],
    ['z=-1&t=1.5', ['z', 't']],
    ['z=99999999999999999999', ['z']],
    ['c=0:5..5', ['c']],
    ['c=0:9..5', ['c']],
    ['c=0:1e308..1e309', ['c']],
    ['c=0:0..1,g0', ['c']],
    ['c=0:0..1,constructor', ['c']],
    ['c=-1:0..1', ['c']],
    ['c=x', ['c']],
    ['up=toString&dock=__proto__', ['up', 'dock']],
    ['m=length:1,2:a', ['m']],
    ['m=length:1,2;3:a', ['m']],
    ['m=circle:1,2;3,4:a', ['m']],
    ['layers=points,everything', ['layers']],
    ['%E0%A4%A=1&__proto__=2', ['\uFFFD%A', '__proto__']],
    [`id=${'x'.repeat(300)}`, ['id']],
    ['x'.repeat(600_000), ['all of it']],
    [Array.from({ length: 10_000 }, () => 'a').join('&'), ['a', 'all that follows']],
  ]
  for (const [link, broken] of wrong) {
    const read = readPermalink(link)
    t.same(new Set(read.broken), new Set(broken), link.slice(0, 60))
  }
  const channels = Array.from({ length: 3000 }, (_, i) => `c=${i}:0..1`).join('&')
  t.ok((readPermalink(channels).state.contrast?.channels.size ?? 0) <= 2000)
  const rest = readPermalink('x=1&y=2&um=3&c=0:1..2&c=1:nothing&w=0:1..2:__proto__&rot=720')
  t.same(rest.broken, ['rot', 'c'])
  t.match(rest.state, { view: { umPerPx: 3, rotation: 0 }, contrast: { selected: 0 } })
  t.same([...(rest.state.contrast?.channels.keys() ?? [])], [0])
  t.equal(Object.getPrototypeOf(rest.state.contrast?.channels.get(0)?.ofWells), Object.prototype)
})
