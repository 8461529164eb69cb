import OlMap from 'ol/Map.js'
import OlView from 'ol/View.js'
import { STAGE_PROJECTION } from './pyramid-source.js'
import type { ViewFrame } from './view-frame.js'

/** The camera limits the view; OpenLayers draws whatever it is told. */
const NO_RESOLUTION_LIMITS = { minResolution: 1e-12, maxResolution: 1e12 }

/** A map of the stage that shows what it is told, and does nothing by itself. */
export function stageMap(target: HTMLElement): OlMap {
  return new OlMap({
    target,
    controls: [],
    interactions: [],
    view: new OlView({ projection: STAGE_PROJECTION, center: [0, 0], resolution: 1, ...NO_RESOLUTION_LIMITS }),
  })
}

/** Let a map draw what a camera sees. It cannot mirror: where y runs up the screen, its mirror image turns the other way. */
export function drawView(map: OlMap, frame: ViewFrame): void {
  const { rotation, yUp, umPerPx } = frame
  const [width = 1, height = 1] = map.getSize() ?? []
  const { x, y } = frame.toStage({ left: width / 2, top: height / 2 })
  const view = map.getView()
  view.setCenter([x, -y])
  view.setResolution(umPerPx)
  view.setRotation(((yUp ? -rotation : rotation) * Math.PI) / 180)
  map.render()
}
