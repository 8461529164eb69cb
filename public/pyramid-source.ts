import type Tile from 'ol/DataTile.js'
import Projection from 'ol/proj/Projection.js'
import DataTileSource from 'ol/source/DataTile.js'
import TileGrid from 'ol/tilegrid/TileGrid.js'
import type { PlaneSelection, PyramidInfo, TileAddress } from './pyramid-api.js'
import { mapFromPixel } from './stage-geometry.js'
import type { TileStore } from './tile-store.js'
import { bandCount, failedTexels, packTile, texelKind } from './tile-texels.js'

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

/** The samples of one plane of a pyramid, as textures for OpenLayers. */
export class PyramidSource extends DataTileSource {
  readonly #store: TileStore
  #plane: PlaneSelection
  #reloads = 0

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
      loader: async (z, x, y) => {
        try {
          const tile = await store.load(this.#plane, this.#address(z, x, y))
          return tile ? packTile(tile, kind) : new Uint8Array(4 * tileSize * tileSize)
        } catch {
          // The store has reported the failure; here it only must not look like data.
          return failedTexels(tileSize, kind)
        }
      },
    })
    this.#store = store
    this.#plane = plane
  }

  #address(z: number, column: number, row: number): TileAddress {
    return { level: this.#store.pyramid.levelCount - 1 - z, column, row }
  }

  /** Empty tiles do not exist for OpenLayers: it would fill them with stretched parents. */
  override getTile(...args: Parameters<DataTileSource['getTile']>): Tile | null {
    const [z, x, y] = args
    return this.#store.has(this.#plane, this.#address(z, x, y)) ? super.getTile(...args) : null
  }

  /** Show another plane; what is drawn stays until its tiles are there. */
  select(plane: PlaneSelection): void {
    this.#plane = plane
    this.reload()
  }

  /** Ask for all visible tiles again; those in memory come from there. */
  reload(): void {
    this.#reloads++
    this.setKey(`${this.#reloads}`)
  }
}
