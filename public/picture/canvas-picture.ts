import TileLayer from 'ol/layer/Tile.js'
import ImageTileSource from 'ol/source/ImageTile.js'
import { mergeCalls } from '../parts/merge-calls.js'
import type { PlaneSelection, TileAddress } from '../server/pyramid-api.js'
import { type PaintedLook, paintRegion, type RegionSamples } from '../tiles/region-picture.js'
import type { TileStore } from '../tiles/tile-store.js'
import type { Look } from './look.js'
import { HATCH_PX, type PictureColours, type Rgb } from './picture-layer.js'
import { STAGE_PROJECTION, tileGridOf } from './pyramid-source.js'

/** A look that may be painted, and whether samples are interpolated where they are enlarged. */
export type CanvasLook = PaintedLook & Pick<Look, 'smooth'>

/** What is in view takes about this long to paint: while contrast is dragged, it is painted no more often. */
const PAINT_EVERY_MS = 100

/** The samples of some planes of a pyramid, painted in the colours of a look: a canvas a tile. */
export class CanvasPictureSource extends ImageTileSource {
  readonly #store: TileStore
  #colours: PictureColours
  #planes: readonly PlaneSelection[]
  #look: CanvasLook
  #paints = 0
  readonly #paintSoon = mergeCalls(async () => this.reload(), PAINT_EVERY_MS)

  constructor(store: TileStore, planes: readonly PlaneSelection[], look: CanvasLook, colours: PictureColours) {
    const { tileSize, levelCount } = store.pyramid
    super({
      projection: STAGE_PROJECTION,
      tileGrid: tileGridOf(store.pyramid),
      tileSize,
      transition: 0,
      wrapX: false,
      loader: (z, column, row) => this.#paint({ level: levelCount - 1 - z, column, row }),
    })
    this.#store = store
    this.#colours = colours
    this.#planes = planes
    this.#look = look
  }

  /** Empty tiles do not exist for OpenLayers: it would fill them with stretched parents. */
  override getTile(...args: Parameters<ImageTileSource['getTile']>): ReturnType<ImageTileSource['getTile']> {
    const [z, column, row] = args
    const address = { level: this.#store.pyramid.levelCount - 1 - z, column, row }
    return this.#planes.some(plane => this.#store.has(plane, address)) ? super.getTile(...args) : null
  }

  override getInterpolate(): boolean {
    return this.#look.smooth
  }

  select(planes: readonly PlaneSelection[]): void {
    if (JSON.stringify(planes) === JSON.stringify(this.#planes)) return
    this.#planes = planes
    this.#paintSoon()
  }

  setLook(look: CanvasLook): void {
    this.#look = look
    this.#paintSoon()
  }

  setColours(colours: PictureColours): void {
    this.#colours = colours
    this.#paintSoon()
  }

  /** Paint all tiles in view anew; those in memory come from there, and what is drawn stays until they are painted. */
  reload(): void {
    this.#paints++
    this.setKey(`${this.#paints}`)
  }

  /** Tiles of a growing pyramid have newer versions. */
  update(): void {
    this.#paintSoon()
  }

  async #paint(address: TileAddress): Promise<HTMLCanvasElement> {
    const { tileSize, wells } = this.#store.pyramid
    const canvas = document.createElement('canvas')
    const x0 = address.column * tileSize
    const y0 = address.row * tileSize
    const rect = { x0, y0, x1: x0 + tileSize, y1: y0 + tileSize }
    try {
      const read = async (plane: PlaneSelection): Promise<[number, RegionSamples] | undefined> => {
        const { tile } = await this.#store.load(plane, address)
        const covered = tile && (tile.mask ?? new Uint8Array(tile.samples.length).fill(1))
        return covered && [plane.channel, { samples: tile.samples, covered }]
      }
      const channels = new Map((await Promise.all(this.#planes.map(read))).filter(channel => channel !== undefined))
      const picture = { width: tileSize, height: tileSize, rect, level: address.level, channels }
      paintRegion(canvas, picture, this.#look, wells)
    } catch {
      // The store has reported the failure; here it only must not look like data.
      paintHatch(canvas, tileSize, this.#colours)
    }
    return canvas
  }
}

/** Draws a pyramid without WebGL, where a browser has none: it takes longer, and looks the same. */
export class CanvasPictureLayer extends TileLayer<CanvasPictureSource> {
  setLook(look: CanvasLook): void {
    this.getSource()?.setLook(look)
  }

  setColours(colours: PictureColours): void {
    this.getSource()?.setColours(colours)
  }
}

function paintHatch(canvas: HTMLCanvasElement, size: number, { void: ground, edge }: PictureColours): void {
  canvas.width = size
  canvas.height = size
  const context = canvas.getContext('2d')
  if (!context) return
  context.fillStyle = cssColour(ground)
  context.fillRect(0, 0, size, size)
  context.strokeStyle = cssColour(edge)
  // A quarter of the distance between two stripes, across them.
  context.lineWidth = HATCH_PX / 4 / Math.SQRT2
  context.beginPath()
  for (let x = 0; x < 2 * size; x += HATCH_PX) {
    context.moveTo(x, 0)
    context.lineTo(x - size, size)
  }
  context.stroke()
}

function cssColour(colour: Rgb): string {
  return `rgb(${colour.map(share => Math.round(255 * share)).join(' ')})`
}
