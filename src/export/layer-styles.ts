import type { Pyramid } from '../pyramid/pyramid.js'
import type { LayerStyle } from '../render/style.js'
import { ServedPyramid } from '../server/pyramids/served-pyramid.js'
import { readPictureStyle } from '../server/tiles/picture-style.js'
import type { PictureWishes } from './export-request.js'

/** How each channel looks by itself: with the automatic contrast, as the server draws it. */
export async function layerStyles(pyramid: Pyramid, { stretch, lut }: PictureWishes): Promise<LayerStyle[]> {
  const served = new ServedPyramid(pyramid, '', [], true)
  const styles: LayerStyle[] = []
  for (let channel = 0; channel < pyramid.channels.length; channel++) {
    const query = { channel: String(channel), ...(stretch && { stretch }), ...(lut && { lut }) }
    const { layers } = await readPictureStyle(query, served)
    styles.push(...layers.map(({ style }) => style))
  }
  return styles
}
