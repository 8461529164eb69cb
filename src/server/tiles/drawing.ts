import type { RenderCrew } from '../../render/render-crew.js'
import type { DecodedTiles } from './decoded-tiles.js'
import type { TileCache } from './tile-cache.js'

/** What pictures of a pyramid are made with; the server has one of each. */
export interface Drawing {
  readonly tiles: DecodedTiles
  readonly crew: RenderCrew
  readonly cache: TileCache
}
