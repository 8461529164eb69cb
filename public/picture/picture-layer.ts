import BaseTileLayer from 'ol/layer/BaseTile.js'
import type WebGLTileLayer from 'ol/layer/WebGLTile.js'
import type { FrameState } from 'ol/Map.js'
import WebGLTileLayerRenderer from 'ol/renderer/webgl/TileLayer.js'
import PaletteTexture from 'ol/webgl/PaletteTexture.js'
import { COLOUR_MAP_NAMES, COLOUR_STEPS, COLOUR_TABLES, type ColourMapName } from '../../src/render/colour-maps.js'
import type { Contrast } from '../contrast/contrast.js'
import type { Look } from './look.js'
import {
  BORDER_FRAGMENT_SHADER,
  BORDER_VERTEX_SHADER,
  TILE_VERTEX_SHADER,
  tileFragmentShader,
} from './picture-shader.js'
import type { PyramidSource } from './pyramid-source.js'
import type { TexelKind } from './tile-texels.js'

/** Red, green and blue, 0 … 1. */
export type Rgb = [number, number, number]

/** Colours of the picture that follow the theme. */
export interface PictureColours {
  readonly void: Rgb
  readonly edge: Rgb
}

const HATCH_PX = 8
/** Two zoom levels' worth of tiles of a 4K screen. */
const TEXTURE_CACHE_TILES = 512

/** All colour maps side by side, so that changing the map is changing a number. */
function allColours(): Uint8Array {
  const colours = new Uint8Array(4 * COLOUR_STEPS * COLOUR_MAP_NAMES.length)
  COLOUR_MAP_NAMES.forEach((name, index) => {
    colours.set(COLOUR_TABLES[name], 4 * COLOUR_STEPS * index)
  })
  return colours
}

/** The renderer asks for no more than a tile layer, but its type names OpenLayers' own two. */
type Renderer = WebGLTileLayerRenderer<WebGLTileLayer>

/** Draws a pyramid's samples with WebGL. Contrast and colours are uniforms: changing them fetches nothing. */
export class PictureLayer extends BaseTileLayer<PyramidSource, Renderer> {
  readonly #kind: TexelKind
  #look: Look
  readonly #colours: PictureColours

  constructor(source: PyramidSource, kind: TexelKind, look: Look, colours: PictureColours) {
    super({ source, cacheSize: TEXTURE_CACHE_TILES })
    this.#kind = kind
    this.#look = look
    this.#colours = colours
  }

  setLook(look: Look): void {
    this.#look = look
    this.changed()
  }

  get #contrast(): Contrast {
    return (this.#look.channels[0] as Look['channels'][0]).contrast
  }

  override createRenderer(): Renderer {
    return new WebGLTileLayerRenderer(this as unknown as WebGLTileLayer, {
      vertexShader: TILE_VERTEX_SHADER,
      fragmentShader: tileFragmentShader(this.#kind),
      uniforms: {
        u_black: () => this.#contrast.black,
        u_white: () => this.#contrast.white,
        u_gamma: () => this.#contrast.gamma,
        u_colourMap: () => COLOUR_MAP_NAMES.indexOf(this.#contrast.colours as ColourMapName),
        u_inverted: () => Number(this.#contrast.inverted),
        u_hatchPx: (frame: FrameState) => HATCH_PX * frame.pixelRatio,
        u_hatchColour: () => this.#colours.edge,
        u_voidColour: () => this.#colours.void,
      },
      paletteTextures: [new PaletteTexture('u_colours', allColours())],
      cacheSize: TEXTURE_CACHE_TILES,
      postProcesses: [
        {
          vertexShader: BORDER_VERTEX_SHADER,
          fragmentShader: BORDER_FRAGMENT_SHADER,
          uniforms: {
            u_borderColour: () => this.#colours.edge,
            u_pixel: ({ size, pixelRatio }: FrameState) => size.map(side => 1 / Math.trunc(side * pixelRatio)),
          },
        },
      ],
    })
  }
}
