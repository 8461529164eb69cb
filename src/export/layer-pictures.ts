import { groupsOf } from '../render/channel-groups.js'
import type { LayerStyle } from '../render/style.js'
import { ServedPyramid } from '../server/pyramids/served-pyramid.js'
import { type PictureStyle, readPictureStyle } from '../server/tiles/picture-style.js'
import type { ExportRequest, PictureWishes } from './export-request.js'

/** A picture of a layer: of a channel, or of the red, green and blue of a photo. */
export interface LayerPicture {
  readonly title: string
  readonly layers: PictureStyle['layers']
}

const MAX_BYTE = 255

/**
 * How each layer looks by itself, at its first z-plane and time point: with the automatic contrast, as the server draws it;
 * a photo of 8 bits as it is.
 */
export async function layerPictures(
  { pyramid, names, signal }: Pick<ExportRequest, 'pyramid' | 'names' | 'signal'>,
  { stretch, lut }: Omit<PictureWishes, 'format'>,
): Promise<LayerPicture[]> {
  const served = new ServedPyramid(pyramid, '', [], true)
  const pictures: LayerPicture[] = []
  const titled = pyramid.channels.map((channel, i) => ({ ...channel, name: names.titles[i] as string }))
  for (const { title, channels } of groupsOf(titled)) {
    const isPhoto = channels.length > 1
    const look = isPhoto ? {} : { ...(stretch && { stretch }), ...(lut && { lut }) }
    const { layers } = await readPictureStyle({ channel: channels.join(), ...look }, served, signal)
    pictures.push({
      title,
      layers: isPhoto ? layers.map(layer => ({ ...layer, style: asPhotographed(layer.style) })) : layers,
    })
  }
  return pictures
}

function asPhotographed(style: LayerStyle): LayerStyle {
  return style.white <= MAX_BYTE ? { ...style, black: 0, white: MAX_BYTE } : style
}
