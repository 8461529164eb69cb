import type { Plane, SampleType } from '../plane.js'
import type { Blend } from './blend.js'

/** How a frame's pixels are turned before they are placed: mirrored first, then rotated clockwise. */
export interface ImageOrientation {
  readonly flipX: boolean
  readonly flipY: boolean
  readonly rotate: 0 | 90 | 180 | 270
}

/** How several series relate where they cover the same area. */
export type Join =
  /** Nothing said: series over the same area are refused. */
  | { readonly kind: 'separate' }
  /** Frames over the same place are blended, whatever their series. */
  | { readonly kind: 'merge' }
  /** Every series is a time point, in order. */
  | { readonly kind: 'time' }
  /** The channel of every series, in order of the series. */
  | { readonly kind: 'channels'; readonly names: readonly string[] }

/** What a build does with its series; everything that changes a stored sample or its place. */
export interface BuildSettings {
  readonly blend: Blend
  /** Stored type; undefined is the smallest that holds all inputs exactly. */
  readonly sampleType: SampleType | undefined
  readonly tileSize: number
  /** Stage position of the centre of mosaic pixel (0, 0), µm; undefined is the smallest x and y of the frames. */
  readonly originUm: { readonly x: number; readonly y: number } | undefined
  /** Instead of what the metadata says, µm. */
  readonly pixelSizeUm: { readonly x: number; readonly y: number } | undefined
  readonly orientation: ImageOrientation
  readonly stageSign: { readonly x: 1 | -1; readonly y: 1 | -1 }
  readonly join: Join
  /** Instead of the series' own dark levels: counts, or a plane of a frame's size. */
  readonly dark: number | Plane | undefined
  /** Multiplies counts − dark. */
  readonly gain: Plane | undefined
  /** Divides counts − dark. */
  readonly illumination: Plane | undefined
}

export const DEFAULT_SETTINGS: BuildSettings = {
  blend: 'feather',
  sampleType: undefined,
  tileSize: 256,
  originUm: undefined,
  pixelSizeUm: undefined,
  orientation: { flipX: false, flipY: false, rotate: 0 },
  stageSign: { x: 1, y: 1 },
  join: { kind: 'separate' },
  dark: undefined,
  gain: undefined,
  illumination: undefined,
}

export const TILE_SIZES = [128, 256, 512, 1024]
