import DataTile from 'ol/DataTile.js'
import Projection from 'ol/proj/Projection.js'
import DataTileSource from 'ol/source/DataTile.js'
import TileState from 'ol/TileState.js'
import type { TileCoord } from 'ol/tilecoord.js'
import TileGrid from 'ol/tilegrid/TileGrid.js'
import { ApiError, type PlaneSelection, type PyramidInfo, type TileAddress } from '../server/pyramid-api.js'
import type { TileStore } from '../tiles/tile-store.js'
import { mapFromPixel } from './stage-geometry.js'
import { bandCount, emptyTexels, failedTexels, packTile, type TexelKind, texelKind } from './tile-texels.js'

/** Stage micrometres; the map's only projection. */
export const STAGE_PROJECTION = new Projection({ code: 'stage', units: 'pixels' })

/** Levels are chosen for the pixels of the display, which may be finer than those of the page. */
class DisplayTileGrid extends TileGrid {
  override getZForResolution(resolution: number, direction?: Parameters<TileGrid['getZForResolution']>[1]): number {
    return super.getZForResolution(resolution / devicePixelRatio, direction)
  }
}

function tileGridOf(pyramid: PyramidInfo): TileGrid {
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

  constructor(tileCoord: TileCoord, tileSize: number, texels: Texels) {
    super({ tileCoord, size: [tileSize, tileSize], transition: 0, loader: () => Promise.resolve(texels) })
    this.#texels = texels
    this.state = TileState.LOADED
  }

  override getData(): Texels {
    return this.#texels
  }
}

type Texels = Uint8Array | Float32Array

/** A tile that OpenLayers has, for as long as its renderer keeps it. */
interface DrawnTile {
  readonly address: TileAddress
  tile: WeakRef<DataTile>
  /** What its texels are of; `undefined` until they are there. */
  version: string | undefined
  /** What takes its place when OpenLayers asks for it next. */
  next: DataTile | undefined
  isUpdating: boolean
}

/** The renderer asks again for a tile whose key is not that of the source. */
const OUTDATED = 'outdated'

/** The samples of one plane of a pyramid, as textures for OpenLayers. */
export class PyramidSource extends DataTileSource {
  readonly #store: TileStore
  readonly #kind: TexelKind
  #plane: PlaneSelection
  #drawn = new Map<string, DrawnTile>()
  #reloads = 0
  #updating = 0

  /** @param fadeMs how long a tile takes to appear. */
  constructor(store: TileStore, plane: PlaneSelection, fadeMs: number) {
    const { sampleType, tileSize } = store.pyramid
    const kind = texelKind(sampleType)
    super({
      projection: STAGE_PROJECTION,
      tileGrid: tileGridOf(store.pyramid),
      tileSize,
      bandCount: bandCount(kind),
      transition: fadeMs,
      wrapX: false,
      loader: (z, x, y) => this.#load(z, x, y),
    })
    this.#store = store
    this.#kind = kind
    this.#plane = plane
  }

  /** Empty tiles do not exist for OpenLayers: it would fill them with stretched parents. */
  override getTile(...args: Parameters<DataTileSource['getTile']>): DataTile | null {
    const [z, x, y] = args
    const address = this.#address(z, x, y)
    if (!this.#store.has(this.#plane, address)) return null
    const drawn = this.#drawn.get(`${z}/${x}/${y}`)
    const known = drawn?.next ?? drawn?.tile.deref()
    if (drawn?.version !== undefined && known) return this.#renew(drawn, known)
    const tile = super.getTile(...args)
    if (tile) {
      const shown = { address, tile: new WeakRef(tile), version: undefined, next: undefined, isUpdating: false }
      this.#drawn.set(`${z}/${x}/${y}`, shown)
    }
    return tile
  }

  /** Show another plane; what is drawn stays until its tiles are there. */
  select(plane: PlaneSelection): void {
    const { channel, zPlane, timePoint } = this.#plane
    if (plane.channel === channel && plane.zPlane === zPlane && plane.timePoint === timePoint) return
    this.#plane = plane
    this.reload()
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

  #address(z: number, column: number, row: number): TileAddress {
    return { level: this.#store.pyramid.levelCount - 1 - z, column, row }
  }

  #isOutdated({ address, version }: DrawnTile): boolean {
    return version !== undefined && version !== this.#store.versionOf(this.#plane, address)
  }

  async #load(z: number, x: number, y: number): Promise<Texels> {
    const drawn = this.#drawn.get(`${z}/${x}/${y}`)
    const { version, texels } = await this.#read(this.#address(z, x, y))
    if (drawn) {
      drawn.version = version
      // Not at once: until OpenLayers has the texels, it knows the tile by its key.
      if (this.#isOutdated(drawn)) setTimeout(() => this.update())
    }
    return texels ?? failedTexels(this.#store.pyramid.tileSize, this.#kind)
  }

  /** @returns no texels where the server did not answer. */
  async #read(address: TileAddress): Promise<{ version: string; texels: Texels | undefined }> {
    const { tileSize } = this.#store.pyramid
    const wanted = this.#store.versionOf(this.#plane, address)
    try {
      const { version, tile } = await this.#store.load(this.#plane, address)
      return { version, texels: tile ? packTile(tile, this.#kind) : emptyTexels(tileSize, this.#kind) }
    } catch (error) {
      // The store has reported the failure; here it only must not look like data.
      const texels = error instanceof ApiError ? failedTexels(tileSize, this.#kind) : undefined
      return { version: wanted, texels }
    }
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
    drawn.isUpdating = true
    // As long as this holds, the map does not take the picture for complete.
    this.loading = ++this.#updating
    const { version, texels } = await this.#read(drawn.address)
    this.loading = --this.#updating
    drawn.isUpdating = false
    drawn.version = version
    if (texels) drawn.next = new ReadyTile(tileCoord, this.#store.pyramid.tileSize, texels)
    const tile = drawn.tile.deref()
    if (tile) tile.key = OUTDATED
    this.changed()
  }
}
