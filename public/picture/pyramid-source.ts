import DataTile from 'ol/DataTile.js'
import Projection from 'ol/proj/Projection.js'
import DataTileSource from 'ol/source/DataTile.js'
import TileState from 'ol/TileState.js'
import type { TileCoord } from 'ol/tilecoord.js'
import TileGrid from 'ol/tilegrid/TileGrid.js'
import { ApiError, type PlaneSelection, type PyramidInfo, type TileAddress } from '../server/pyramid-api.js'
import type { TileContent, TileStore } from '../tiles/tile-store.js'
import { mapFromPixel } from './stage-geometry.js'
import {
  bandCount,
  TEXEL_BYTES,
  type TexelKind,
  type Texels,
  TileTexels,
  texelKind,
  textureSize,
} from './tile-texels.js'

/** Stage micrometres; the map's only projection. */
export const STAGE_PROJECTION = new Projection({ code: 'stage', units: 'pixels' })

/** Levels are chosen for the pixels of the display, which may be finer than those of the page. */
class DisplayTileGrid extends TileGrid {
  override getZForResolution(resolution: number, direction?: Parameters<TileGrid['getZForResolution']>[1]): number {
    return super.getZForResolution(resolution / devicePixelRatio, direction)
  }
}

/** The tiles of a pyramid on the map. */
export function tileGridOf(pyramid: PyramidInfo): TileGrid {
  const { pixelSizeUm, tileSize, levelCount } = pyramid
  return new DisplayTileGrid({
    origin: mapFromPixel(pyramid, 0, 0),
    // OpenLayers counts from the coarse end.
    resolutions: Array.from({ length: levelCount }, (_, z) => pixelSizeUm.x * 2 ** (levelCount - 1 - z)),
    // Pixels need not be square: a tile is drawn as high as its rows are on the stage.
    tileSize: [tileSize, (tileSize * pixelSizeUm.y) / pixelSizeUm.x],
  })
}

/** A tile that has its texels from the start, so that it takes the place of an older one within a frame. */
class ReadyTile extends DataTile {
  readonly #texels: Texels

  constructor(tileCoord: TileCoord, size: [number, number], texels: Texels) {
    super({ tileCoord, size, transition: 0, loader: () => Promise.resolve(texels) })
    this.#texels = texels
    this.state = TileState.LOADED
  }

  override getData(): Texels {
    return this.#texels
  }
}

/** Planes that are drawn together: up to four channels of one slice. */
type Planes = readonly PlaneSelection[]

/** The versions that texels are made of. */
interface Makings {
  /** Of the tile itself, of every plane. */
  readonly own: string
  /** Of its neighbours, of every plane; undefined of those that were not in memory. */
  readonly around: readonly (string | undefined)[]
}

interface Neighbour {
  readonly content: TileContent | undefined
  /** Of its channel in the texture. */
  readonly place: number
  readonly columns: number
  readonly rows: number
}

/** A tile that OpenLayers has, for as long as its renderer keeps it. */
interface DrawnTile {
  readonly planes: Planes
  readonly channels: readonly number[]
  readonly address: TileAddress
  tile: WeakRef<DataTile>
  /** What its texels are of; `undefined` until they are there. */
  makings: Makings | undefined
  /** What takes its place when OpenLayers asks for it next. */
  next: DataTile | undefined
  isUpdating: boolean
}

/** The renderer asks again for a tile whose key is not that of the source. */
const OUTDATED = 'outdated'

/** Columns and rows from a tile to its neighbours. */
const AROUND = [-1, 0, 1].flatMap(rows =>
  [-1, 0, 1].filter(columns => columns !== 0 || rows !== 0).map(columns => ({ columns, rows })),
)

/** The samples of some planes of a pyramid, as textures for OpenLayers. */
export class PyramidSource extends DataTileSource {
  readonly #store: TileStore
  readonly #kind: TexelKind
  #planes: Planes = []
  #channels: readonly number[] = []
  /** Which channels the texture of a tile has; tiles of earlier planes are drawn until those of the present ones are there. */
  readonly #channelsOfTiles = new WeakMap<object, readonly number[]>()
  #drawn = new Map<string, DrawnTile>()
  #isSmooth = false
  #reloads = 0
  #updating = 0
  #isUpdateDue = false

  /** @param fadeMs how long a tile takes to appear. */
  constructor(store: TileStore, planes: Planes, fadeMs: number) {
    const { sampleType, tileSize } = store.pyramid
    const kind = texelKind(sampleType)
    super({
      projection: STAGE_PROJECTION,
      tileGrid: tileGridOf(store.pyramid),
      tileSize,
      bandCount: bandCount(kind),
      transition: fadeMs,
      wrapX: false,
    })
    this.#store = store
    this.#kind = kind
    this.#setPlanes(planes)
  }

  get pyramid(): PyramidInfo {
    return this.#store.pyramid
  }

  /** Channels of the tiles that are asked for now, in the order of their textures. The same object until others are selected. */
  get channels(): readonly number[] {
    return this.#channels
  }

  /** Of a tile that is asked for now. */
  get textureBytes(): number {
    const [width, height] = this.getTileSize()
    return width * height * TEXEL_BYTES[this.#kind]
  }

  /** Channels of a tile of this source, in the order of its texture. */
  channelsOf(tile: object): readonly number[] {
    return this.#channelsOfTiles.get(tile) ?? []
  }

  /** Empty tiles do not exist for OpenLayers: it would fill them with stretched parents. */
  override getTile(...args: Parameters<DataTileSource['getTile']>): DataTile | null {
    const [z, x, y] = args
    const address = this.#address(z, x, y)
    if (!this.#planes.some(plane => this.#store.has(plane, address))) return null
    const drawn = this.#drawn.get(`${z}/${x}/${y}`)
    const known = drawn?.next ?? drawn?.tile.deref()
    if (drawn?.makings !== undefined && known) return this.#renew(drawn, known)
    const tile = super.getTile(...args)
    if (tile) {
      this.#channelsOfTiles.set(tile, this.#channels)
      this.#drawn.set(`${z}/${x}/${y}`, {
        planes: this.#planes,
        channels: this.#channels,
        address,
        tile: new WeakRef(tile),
        makings: undefined,
        next: undefined,
        isUpdating: false,
      })
    }
    return tile
  }

  protected override getTileSize(): [number, number] {
    return textureSize(this.#store.pyramid.tileSize, this.#planes.length)
  }

  /** Show other planes; what is drawn stays until their tiles are there. */
  select(planes: Planes): void {
    if (JSON.stringify(planes) === JSON.stringify(this.#planes)) return
    this.#setPlanes(planes)
    this.reload()
  }

  /** Whether tiles are interpolated, and thus need the nearest samples of their neighbours. */
  setSmooth(isSmooth: boolean): void {
    if (isSmooth === this.#isSmooth) return
    this.#isSmooth = isSmooth
    this.update()
  }

  /** Ask for all visible tiles again; those in memory come from there. */
  reload(): void {
    this.#reloads++
    this.#drawn = new Map()
    this.setKey(`${this.#reloads}`)
  }

  /** Ask for the visible tiles of which there is a newer version; what is drawn of them stays until it is there. */
  update(): void {
    for (const [key, drawn] of this.#drawn) {
      const tile = drawn.tile.deref()
      if (!tile) this.#drawn.delete(key)
      else if (this.#isOutdated(drawn)) tile.key = OUTDATED
    }
    this.changed()
  }

  #setPlanes(planes: Planes): void {
    this.#planes = planes
    this.#channels = planes.map(({ channel }) => channel)
    // Tiles that are asked for keep their loader, and with it the planes that they were asked for.
    this.setLoader((z, x, y) => this.#load(planes, z, x, y))
  }

  #address(z: number, column: number, row: number): TileAddress {
    return { level: this.#store.pyramid.levelCount - 1 - z, column, row }
  }

  #isOutdated({ planes, address, makings }: DrawnTile): boolean {
    if (makings === undefined) return false
    if (makings.own !== this.#versionsOf(planes, address)) return true
    // For the sake of its ring alone nothing is asked for.
    const isInMemory = (): boolean => planes.every(plane => this.#store.peek(plane, address))
    const isNews = ({ content }: Neighbour, i: number): boolean =>
      content !== undefined && content.version !== makings.around[i]
    return this.#isSmooth && this.#around(planes, address).some(isNews) && isInMemory()
  }

  async #load(planes: Planes, z: number, x: number, y: number): Promise<Texels> {
    const { makings, texels } = await this.#read(planes, this.#address(z, x, y))
    const drawn = this.#drawn.get(`${z}/${x}/${y}`)
    if (drawn?.planes === planes) {
      drawn.makings = makings
      // To neighbours this tile is new.
      if (this.#isSmooth || this.#isOutdated(drawn)) this.#updateSoon()
    }
    return texels ?? this.#failed(planes)
  }

  /** @returns no texels where the server did not answer. */
  async #read(planes: Planes, address: TileAddress): Promise<{ makings: Makings; texels: Texels | undefined }> {
    const wanted = this.#versionsOf(planes, address)
    try {
      const contents = await Promise.all(planes.map(plane => this.#store.load(plane, address)))
      const around = this.#around(planes, address)
      const stack = new TileTexels(this.#store.pyramid.tileSize, planes.length, this.#kind)
      for (const [place, { tile }] of contents.entries()) if (tile) stack.put(tile, place)
      for (const { content, place, columns, rows } of around) {
        if (content?.tile) stack.put(content.tile, place, columns, rows)
      }
      const own = contents.map(({ version }) => version).join()
      return { makings: { own, around: around.map(({ content }) => content?.version) }, texels: stack.texels }
    } catch (error) {
      // The store has reported the failure; here it only must not look like data.
      const texels = error instanceof ApiError ? this.#failed(planes) : undefined
      return { makings: { own: wanted, around: [] }, texels }
    }
  }

  #failed(planes: Planes): Texels {
    const stack = new TileTexels(this.#store.pyramid.tileSize, planes.length, this.#kind)
    stack.fail()
    return stack.texels
  }

  #versionsOf(planes: Planes, address: TileAddress): string {
    return planes.map(plane => this.#store.versionOf(plane, address)).join()
  }

  /** The neighbours of a tile, of every plane, as far as they are in memory; none where tiles are not interpolated. */
  #around(planes: Planes, { level, column, row }: TileAddress): Neighbour[] {
    if (!this.#isSmooth) return []
    return planes.flatMap((plane, place) =>
      AROUND.map(({ columns, rows }) => ({
        content: this.#store.peek(plane, { level, column: column + columns, row: row + rows }),
        place,
        columns,
        rows,
      })),
    )
  }

  /** Hand over the newest that there is of a tile, and see to it that it becomes the newest of all. */
  #renew(drawn: DrawnTile, tile: DataTile): DataTile {
    if (drawn.next) {
      drawn.tile = new WeakRef(drawn.next)
      drawn.next = undefined
    }
    tile.key = this.getKey()
    if (this.#isOutdated(drawn) && !drawn.isUpdating) void this.#update(drawn, tile.tileCoord)
    return tile
  }

  async #update(drawn: DrawnTile, tileCoord: TileCoord): Promise<void> {
    const { planes, channels, address } = drawn
    drawn.isUpdating = true
    this.#countUpdates(1)
    const { makings, texels } = await this.#read(planes, address)
    this.#countUpdates(-1)
    drawn.isUpdating = false
    drawn.makings = makings
    if (texels) {
      drawn.next = new ReadyTile(tileCoord, textureSize(this.#store.pyramid.tileSize, planes.length), texels)
      this.#channelsOfTiles.set(drawn.next, channels)
    }
    const tile = drawn.tile.deref()
    if (tile) tile.key = OUTDATED
    if (this.#isSmooth) this.#updateSoon()
    this.changed()
  }

  /** Not at once: until OpenLayers has the texels of a tile, it knows the tile by its key. */
  #updateSoon(): void {
    if (this.#isUpdateDue) return
    this.#isUpdateDue = true
    this.#countUpdates(1)
    setTimeout(() => {
      this.#isUpdateDue = false
      this.#countUpdates(-1)
      this.update()
    })
  }

  /** As long as there are any, the map does not take the picture for complete. */
  #countUpdates(more: number): void {
    this.#updating += more
    this.loading = this.#updating
  }
}
