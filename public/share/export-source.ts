import type { ContrastControl } from '../contrast/contrast-control.js'
import type { Slice } from '../picture/look.js'
import { nameOfAxis, nameOfPlane } from '../picture/plane-names.js'
import { wellInView } from '../picture/view-choices.js'
import type { ViewFrame } from '../picture/view-frame.js'
import type { TileStore } from '../tiles/tile-store.js'
import type { Tools } from '../tools/tools.js'
import type { FigureContent } from './draw-figure.js'

/** What is seen, for files made of it. */
export interface ExportSource extends FigureContent {
  readonly permalink: string
  readonly well: string | undefined
}

/** @param permalink link to what is seen. */
export function exportSourceOf(
  store: TileStore,
  frame: ViewFrame,
  { zPlane, timePoint }: Slice,
  contrast: ContrastControl,
  tools: Tools,
  permalink: string,
): ExportSource {
  const { pyramid } = store
  const well = wellInView(pyramid, frame.visibleRect(pyramid))?.name
  const place = [
    well,
    pyramid.zPlanes > 1 && `${nameOfAxis(pyramid, 'zPlane')} ${nameOfPlane(pyramid, 'zPlane', zPlane)}`,
    pyramid.timePoints > 1 && `${nameOfAxis(pyramid, 'timePoint')} ${nameOfPlane(pyramid, 'timePoint', timePoint)}`,
  ]
  return {
    store,
    frame,
    slice: { zPlane, timePoint },
    look: contrast.look,
    integer: contrast.integer,
    name: pyramid.name,
    well,
    place: place.filter(Boolean).join(' · '),
    channels: pyramid.channels,
    permalink,
    drawOverlay: tools.overlay(),
  }
}
