import { UsageError } from '../../errors.js'
import type { Rect } from '../../plane.js'
import type { MosaicGeometry } from '../../pyramid/mosaic-geometry.js'
import type { MosaicSelection } from '../../pyramid/pyramid.js'
import { levelForSize } from '../../pyramid/read-scaled.js'
import type { LayerStyle } from '../../render/style.js'
import { type Parameters, quote, readText } from '../http/parameters.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { ServedPyramid } from '../pyramids/served-pyramid.js'
import { readPictureStyle } from '../tiles/picture-style.js'
import type { CropPlan } from './crop-plan.js'

const MAX_LAYERS = 16

/** Parameters of a style that may list a value for each layer. */
const LISTED = ['min', 'max', 'gamma', 'stretch', 'lut', 'invert'] as const

/** A channel, of the pyramid in the path or of another. */
export interface LayerName {
  readonly id: string | undefined
  readonly channel: string
}

/** One of several layers that are shown side by side. */
export interface CropLayer {
  readonly served: ServedPyramid
  readonly selection: MosaicSelection
  readonly style: LayerStyle
  readonly plan: CropPlan
  /** For people. */
  readonly name: string
  /** The same for the same look of the same samples. */
  readonly key: string
}

/**
 * Read `layers`: numbers of channels, ids of pyramids (their first channel), or `id:channel`.
 *
 * @returns undefined where it is not given.
 * @throws {UsageError} no such list.
 */
export function readLayerNames(query: Parameters): LayerName[] | undefined {
  const parts = readText(query, 'layers')?.split(',')
  if (!parts) return undefined
  if (query.channel !== undefined)
    throw new UsageError('The parameter layers names channels already; channel does not go with it.')
  if (parts.length > MAX_LAYERS)
    throw new UsageError(`The parameter layers lists ${parts.length} layers; up to ${MAX_LAYERS} are shown.`)
  return parts.map(part => {
    const [, id, channel] = /^(?:([\w-]{6,64})(?::|$))?(\d{1,5})?$/.exec(part) ?? []
    if (id !== undefined || channel !== undefined) return { id, channel: channel ?? '0' }
    throw new UsageError(
      `The parameter layers names ${quote(part)}; a layer is the number of a channel, the id of a pyramid, or id:channel.`,
    )
  })
}

/**
 * Do something with several pyramids, all of them open meanwhile.
 *
 * @throws {NotFoundError} one is not open here.
 */
export async function useAll<T>(
  registry: PyramidRegistry,
  ids: readonly string[],
  work: (served: ReadonlyMap<string, ServedPyramid>) => Promise<T>,
): Promise<T> {
  const [id, ...others] = ids
  if (id === undefined) return work(new Map())
  return registry.use(id, served => useAll(registry, others, open => work(new Map([...open, [id, served]]))))
}

/** The styles and places of layers; all of them show the same µm at the same size. */
export async function planLayers(
  names: readonly LayerName[],
  query: Parameters,
  main: ServedPyramid,
  others: ReadonlyMap<string, ServedPyramid>,
  plan: CropPlan,
  signal: AbortSignal,
): Promise<CropLayer[]> {
  return Promise.all(
    names.map(async ({ id, channel }, i) => {
      const served = (id === undefined ? undefined : others.get(id)) ?? main
      const style = await readPictureStyle({ ...query, ...styleOf(query, i, names.length), channel }, served, signal)
      const [{ selection, style: layer }] = style.layers
      const { name } = served.pyramid.channels[selection.channel]
      return {
        served,
        selection,
        style: layer,
        plan: served === main ? plan : planElsewhere(plan, main.pyramid.geometry, served.pyramid.geometry),
        name: served === main ? name : `${served.pyramid.name} · ${name}`,
        key: `${served.pyramid.id}.${served.pyramid.version}/${style.key}`,
      }
    }),
  )
}

/** What the lists of a style say of one layer. */
function styleOf(query: Parameters, layer: number, count: number): Parameters {
  const values: Record<string, string> = {}
  for (const name of LISTED) {
    const parts = readText(query, name)?.split(',') ?? []
    if (parts.length > 1 && parts.length !== count)
      throw new UsageError(`The parameter ${name} lists ${parts.length} values for ${count} layers.`)
    if (parts.length > 1) values[name] = parts[layer]
  }
  return values
}

/** The same rectangle on the stage in a pyramid of another origin or pixel size: seldom whole pixels there. */
function planElsewhere({ rect, size }: CropPlan, from: MosaicGeometry, to: MosaicGeometry): CropPlan {
  const along = (axis: 'x' | 'y', edge: number): number => {
    const um = from.originUm[axis] + (edge - 0.5) * from.pixelSizeUm[axis]
    return (um - to.originUm[axis]) / to.pixelSizeUm[axis] + 0.5
  }
  const there: Rect = {
    x0: along('x', rect.x0),
    y0: along('y', rect.y0),
    x1: along('x', rect.x1),
    y1: along('y', rect.y1),
  }
  return { rect: there, size, level: levelForSize(to, there, size) }
}
