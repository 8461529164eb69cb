import type { FigureContent } from './draw-figure.js'

interface FigureSource extends FigureContent {
  readonly permalink: string
  /** Name and version of the program. */
  readonly software: string
}

/**
 * Where a figure is from and how its colours are to be read, as JSON in ASCII, which every reader of PNG and TIFF
 * understands. Positions are stage µm, levels stored values.
 */
export function figureFacts({ store, slice, look, frame, permalink, software, channels }: FigureSource): string {
  const { pyramid } = store
  const facts = {
    software,
    permalink,
    pyramid: { id: pyramid.id, version: pyramid.version, name: pyramid.name },
    stage: {
      centerUm: frame.centerUm,
      /** Clockwise from the upper left one. */
      cornersUm: frame.corners,
      widthUm: frame.width * frame.umPerPx,
      heightUm: frame.height * frame.umPerPx,
      rotation: frame.rotation,
      yUp: frame.yUp,
    },
    pixelSizeUm: pyramid.pixelSizeUm,
    darkLevel: pyramid.darkLevel,
    ...slice,
    channels: look.channels.map(({ channel, contrast, ofWells }) => {
      const { black, white, gamma, stretch, colours, inverted } = contrast
      const wells = [...(ofWells ?? [])].map(([index, levels]) => [pyramid.wells[index]?.name ?? index, levels])
      return {
        channel,
        name: channels[channel]?.name,
        black,
        white,
        gamma,
        stretch,
        colours,
        inverted,
        ...(wells.length > 0 && { wells: Object.fromEntries(wells) }),
      }
    }),
  }
  return toAscii(JSON.stringify(facts))
}

/** Other characters as JSON writes them by number. */
function toAscii(json: string): string {
  return json.replace(/[^ -~]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
