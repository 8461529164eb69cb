import type WebGLTileLayer from 'ol/layer/WebGLTile.js'
import type { FrameState } from 'ol/Map.js'
import WebGLTileLayerRenderer, { type Options } from 'ol/renderer/webgl/TileLayer.js'
import type { Rect } from '../../src/plane.js'
import { bytesOfColour, COLOUR_MAP_NAMES, isHexColour } from '../../src/render/colour-maps.js'
import type { Look } from './look.js'
import { type ShaderTasks, STRETCH_NUMBERS, TILE_VERTEX_SHADER, tileFragmentShader } from './picture-shader.js'
import type { PyramidSource } from './pyramid-source.js'
import type { TexelKind } from './tile-texels.js'
import { type WellIndex, wellIndex, wellTable } from './well-textures.js'

/** A look as it is drawn with one tile. */
export interface TileLook {
  readonly look: Look
  /** Channels in the tile's texture, in their order. */
  readonly channels: readonly number[]
}

/** Texture units 0 and 1 are the tile's and the colour maps'. */
const INDEX_UNIT = 2
const TABLE_UNIT = 3
/** Textures that are kept; beside each, OpenLayers keeps the texels. */
const MAX_TEXTURE_BYTES = 128 * 2 ** 20

/** A look that needs no more is drawn by this. */
const FEWEST_TASKS: ShaderTasks = { channels: 1, isSmooth: false, isCurved: false, hasOwnLevels: false }

/** Draws each tile with the look that fits its texture: while other channels are on their way, tiles differ in that. */
export class PictureRenderer extends WebGLTileLayerRenderer<WebGLTileLayer> {
  readonly #source: PyramidSource
  readonly #lookOf: (tile: object) => TileLook | undefined
  #index: { readonly wells: readonly Rect[]; readonly cells: WellIndex } | undefined
  #indexTexture: WebGLTexture | null = null
  /** The look that the table is of. */
  #tableLook: Look | undefined
  #tableTexture: WebGLTexture | null = null
  readonly #kind: TexelKind
  /** By what they do. */
  readonly #programs = new Map<string, WebGLProgram>()
  #program: WebGLProgram | undefined
  readonly #tasks = new WeakMap<Look, ShaderTasks>()

  constructor(
    layer: WebGLTileLayer,
    options: Omit<Options, 'vertexShader' | 'fragmentShader'>,
    kind: TexelKind,
    source: PyramidSource,
    lookOf: (tile: object) => TileLook | undefined,
  ) {
    super(layer, {
      ...options,
      vertexShader: TILE_VERTEX_SHADER,
      fragmentShader: tileFragmentShader(kind, FEWEST_TASKS),
    })
    this.#kind = kind
    this.#source = source
    this.#lookOf = lookOf
  }

  // Of a context that was lost, programs and textures went with it.
  override afterHelperCreated(): void {
    super.afterHelperCreated()
    this.#programs.clear()
    this.#index = undefined
    this.#tableLook = undefined
    this.#indexTexture = null
    this.#tableTexture = null
  }

  override renderTile(...args: Parameters<WebGLTileLayerRenderer<WebGLTileLayer>['renderTile']>): void {
    const [{ tile }, , frame, , resolution] = args
    const shown = this.#lookOf(tile)
    if (!shown || shown.look.channels.length === 0) return
    this.#useProgram(shown.look, isEnlarged(resolution, frame), frame)
    this.#setLook(shown)
    this.#setPlace(tile.tileCoord)
    super.renderTile(...args)
  }

  // It begins with a program of its own.
  override beforeTilesRender(...args: Parameters<WebGLTileLayerRenderer<WebGLTileLayer>['beforeTilesRender']>): void {
    super.beforeTilesRender(...args)
    this.#program = undefined
  }

  #useProgram(look: Look, isEnlarged: boolean, frame: FrameState): void {
    const ofLook = this.#tasks.get(look) ?? tasksOf(look)
    this.#tasks.set(look, ofLook)
    const tasks = { ...ofLook, isSmooth: ofLook.isSmooth && isEnlarged }
    const key = Object.values(tasks).join()
    let program = this.#programs.get(key)
    if (!program) {
      program = this.helper.getProgram(tileFragmentShader(this.#kind, tasks), TILE_VERTEX_SHADER)
      this.#programs.set(key, program)
    }
    if (program !== this.#program) this.helper.useProgram(program, frame)
    this.#program = program
  }

  /** Tiles of more channels take more memory: fewer of them are kept, but never fewer than two views need. */
  override beforeFinalize({ size, pixelRatio }: FrameState): void {
    const { pyramid, textureBytes } = this.#source
    // Tiles are drawn at 1/√2 of their size and more.
    const along = (side: number): number => 2 + Math.ceil((Math.SQRT2 * side * pixelRatio) / pyramid.tileSize)
    const [width = 0, height = 0] = size
    const needed = 2 * along(width) * along(height)
    this.tileRepresentationCache.setSize(Math.max(needed, Math.floor(MAX_TEXTURE_BYTES / textureBytes)))
  }

  #setLook({ look, channels }: TileLook): void {
    const gl = this.helper.getGL()
    const count = look.channels.length
    const [levels, colouring] = [new Float32Array(4 * count), new Float32Array(4 * count)]
    const brightest = new Float32Array(3 * count)
    for (const [i, { channel, contrast }] of look.channels.entries()) {
      const { black, white, gamma, stretch, colours, inverted } = contrast
      levels.set([black, white, gamma, STRETCH_NUMBERS[stretch]], 4 * i)
      const map = isHexColour(colours) ? -1 : COLOUR_MAP_NAMES.indexOf(colours)
      colouring.set([channels.indexOf(channel), map, Number(inverted)], 4 * i)
      if (isHexColour(colours)) brightest.set(bytesOfColour(colours.slice(1)), 3 * i)
    }
    gl.uniform4fv(this.#place('u_levels'), levels)
    gl.uniform4fv(this.#place('u_colouring'), colouring)
    gl.uniform3fv(this.#place('u_brightest'), brightest)
    gl.uniform1f(this.#place('u_stacked'), channels.length)
    gl.uniform1i(this.#place('u_marksClipped'), Number(look.marksClipped))
    this.#setWells(look)
  }

  /** Say where a tile lies, in level-0 pixels. */
  #setPlace([z = 0, column = 0, row = 0]: readonly number[]): void {
    const { tileSize, levelCount } = this.#source.pyramid
    const span = tileSize * 2 ** (levelCount - 1 - z)
    const gl = this.helper.getGL()
    gl.uniform1f(this.#place('u_tileSize'), tileSize)
    gl.uniform1f(this.#place('u_tileSpan'), span)
    gl.uniform2f(this.#place('u_tileOrigin'), column * span, row * span)
  }

  #setWells(look: Look): void {
    if (!hasOwnLevels(look)) return
    const gl = this.helper.getGL()
    const pyramid = this.#source.pyramid
    const { wells } = pyramid
    this.#indexTexture ??= gl.createTexture()
    this.helper.bindTexture(this.#indexTexture as WebGLTexture, INDEX_UNIT, 'u_wellIndex')
    if (this.#index?.wells !== wells) {
      const cells = wellIndex(pyramid, wells)
      uploadTexture(gl, cells.columns, cells.rows, cells.numbers)
      this.#index = { wells, cells }
      this.#tableLook = undefined
    }
    this.#tableTexture ??= gl.createTexture()
    this.helper.bindTexture(this.#tableTexture as WebGLTexture, TABLE_UNIT, 'u_wellTable')
    if (this.#tableLook !== look) {
      const { columns, rows, numbers } = wellTable(wells, look)
      this.helper.getExtension('OES_texture_float')
      uploadTexture(gl, columns, rows, numbers)
      this.#tableLook = look
    }
    const { columns, rows, cellPx } = this.#index.cells
    gl.uniform3f(this.#place('u_wellCells'), columns, rows, cellPx)
    gl.uniform2f(this.#place('u_wellTableSize'), 1 + look.channels.length, wells.length)
  }

  #place(uniform: string): WebGLUniformLocation | null {
    return this.helper.getUniformLocation(uniform)
  }
}

function tasksOf(look: Look): ShaderTasks {
  const levels = look.channels.flatMap(({ contrast, ofWells }) => [contrast, ...(ofWells?.values() ?? [])])
  return {
    channels: look.channels.length,
    isSmooth: look.smooth,
    isCurved:
      levels.some(({ gamma }) => gamma !== 1) || look.channels.some(({ contrast }) => contrast.stretch !== 'linear'),
    hasOwnLevels: hasOwnLevels(look),
  }
}

function hasOwnLevels({ channels }: Look): boolean {
  return channels.some(({ ofWells }) => ofWells !== undefined && ofWells.size > 0)
}

/** Whether a sample is larger than a pixel of the display. @param resolution µm per sample. */
function isEnlarged(resolution: number, { viewState, pixelRatio }: FrameState): boolean {
  return resolution * pixelRatio > viewState.resolution
}

function uploadTexture(
  gl: WebGLRenderingContext,
  columns: number,
  rows: number,
  numbers: Uint8Array | Float32Array,
): void {
  const type = numbers instanceof Float32Array ? gl.FLOAT : gl.UNSIGNED_BYTE
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST)
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE)
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, columns, rows, 0, gl.RGBA, type, numbers)
}
