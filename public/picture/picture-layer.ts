import BaseTileLayer from 'ol/layer/BaseTile.js'
import type WebGLTileLayer from 'ol/layer/WebGLTile.js'
import type { FrameState } from 'ol/Map.js'
import type WebGLTileLayerRenderer from 'ol/renderer/webgl/TileLayer.js'
import PaletteTexture from 'ol/webgl/PaletteTexture.js'
import { COLOUR_MAP_NAMES, COLOUR_STEPS, COLOUR_TABLES } from '../../src/render/colour-maps.js'
import type { Look } from './look.js'
import { PictureRenderer, type TileLook } from './picture-renderer.js'
import { BORDER_FRAGMENT_SHADER, BORDER_VERTEX_SHADER } from './picture-shader.js'
import type { PyramidSource } from './pyramid-source.js'
import type { TexelKind } from './tile-texels.js'

/** Red, green and blue, 0 … 1. */
export type Rgb = [number, number, number]

/** Colours of the picture that follow the theme. */
export interface PictureColours {
  readonly void: Rgb
  readonly edge: Rgb
}

/** From one stripe of a hatched tile to the next, along a row. */
export const HATCH_PX = 8
/** Marks of clipped samples let the picture be seen between them. */
const MARK_PX = 2

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

/**
 * Draws a pyramid's samples with WebGL. How channels are drawn is a matter of uniforms: changing that fetches nothing.
 * Which channels there are is a matter of the source's tiles.
 */
export class PictureLayer extends BaseTileLayer<PyramidSource, Renderer> {
  readonly #source: PyramidSource
  readonly #kind: TexelKind
  #colours: PictureColours
  #look: Look
  /** By the channels of earlier tiles: the last look that could be drawn with them. */
  readonly #earlierLooks = new WeakMap<readonly number[], Look>()

  constructor(source: PyramidSource, kind: TexelKind, look: Look, colours: PictureColours) {
    super({ source })
    this.#source = source
    this.#kind = kind
    this.#look = look
    this.#colours = colours
    source.setSmooth(look.smooth)
  }

  /** Drawn at once with all tiles that have its channels; the others stay as they are until the source has replaced them. */
  setLook(look: Look): void {
    const { channels } = this.#source
    if (hasChannels(channels, this.#look)) this.#earlierLooks.set(channels, this.#look)
    this.#look = look
    this.#source.setSmooth(look.smooth)
    this.changed()
  }

  setColours(colours: PictureColours): void {
    this.#colours = colours
    this.changed()
  }

  #lookOf(tile: object): TileLook | undefined {
    const channels = this.#source.channelsOf(tile)
    const look = hasChannels(channels, this.#look) ? this.#look : this.#earlierLooks.get(channels)
    return look && { look, channels }
  }

  override createRenderer(): Renderer {
    const options = {
      uniforms: {
        u_markPx: ({ pixelRatio }: FrameState) => MARK_PX * pixelRatio,
        u_hatchPx: ({ pixelRatio }: FrameState) => HATCH_PX * pixelRatio,
        u_hatchColour: () => this.#colours.edge,
        u_voidColour: () => this.#colours.void,
      },
      paletteTextures: [new PaletteTexture('u_colours', allColours())],
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
    }
    const layer = this as unknown as WebGLTileLayer
    return new PictureRenderer(layer, options, this.#kind, this.#source, tile => this.#lookOf(tile))
  }
}

function hasChannels(channels: readonly number[], look: Look): boolean {
  return look.channels.every(({ channel }) => channels.includes(channel))
}
