import type { PointUm } from '../server/pyramid-api.js'

/** Something that was measured by hand; all in stage µm. */
export interface Measurement {
  /** A straight line, a polygon, or a rectangle along the axes of the stage. */
  readonly kind: 'length' | 'area' | 'region'
  /** The two ends of a length, three or more corners of an area in turn, two opposite corners of a region. */
  readonly points: readonly PointUm[]
  readonly name: string
}

/** What is drawn over the picture and can be hidden. */
export const OVERLAYS = ['outlines', 'points', 'measurements'] as const

export type OverlayName = (typeof OVERLAYS)[number]

/** What a link says of the tools: points are not in it, the server keeps them. */
export interface ToolsState {
  readonly measurements: readonly Measurement[]
  readonly visible: Readonly<Record<OverlayName, boolean>>
}

/** A row of the Layers panel. */
export interface OverlayRow {
  readonly name: OverlayName
  readonly label: string
  readonly visible: boolean
  /** How many there are, or what keeps them from being drawn. */
  readonly value: string
}
