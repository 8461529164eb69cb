import type { PyramidInfo } from '../server/pyramid-api.js'
import { cropExtentUm, type SampleCrop, sampleCropUrl } from './sample-crop.js'

/**
 * Python that opens the samples of a crop with numpy and the standard library.
 *
 * @param base address of the page. @param needsToken whether the server asks who reads; the snippet never holds a token.
 */
export function pythonSnippet(pyramid: PyramidInfo, crop: SampleCrop, base: string, needsToken: boolean): string {
  const { from, to } = cropExtentUm(pyramid, crop)
  const scale = 2 ** crop.level
  const { channels, slice, level } = crop
  const names = channels.map(channel => pythonText(pyramid.channels[channel]?.name ?? ''))
  const url = new URL(sampleCropUrl(pyramid, crop, 'npy'), base).href
  const zarr = new URL(`pyramids/${encodeURIComponent(pyramid.id)}/zarr`, base).href
  const columns = `${crop.rect.x0 / scale}:${crop.rect.x1 / scale}`
  const rows = `${crop.rect.y0 / scale}:${crop.rect.y1 / scale}`
  return [
    `# ${oneLine(pyramid.name)}: ${crop.width} x ${crop.height} px, ${channels.length} channel${channels.length > 1 ? 's' : ''}, as stored`,
    'import io',
    ...(needsToken ? ['import os'] : []),
    'import urllib.request',
    '',
    'import numpy as np',
    '',
    ...(needsToken
      ? [
          `request = urllib.request.Request(${pythonText(url)},`,
          '                                 headers={"X-Tilestage-Token": os.environ["TILESTAGE_TOKEN"]})',
        ]
      : [`request = ${pythonText(url)}`]),
    'with urllib.request.urlopen(request) as reply:',
    '    samples = np.load(io.BytesIO(reply.read()))  # shape: channel, y, x',
    '',
    `channels = [${names.join(', ')}]`,
    `x_um = (${um(from.x)}, ${um(to.x)})  # outer edges on the stage`,
    `y_um = (${um(from.y)}, ${um(to.y)})`,
    `pixel_size_um = (${pyramid.pixelSizeUm.x * scale}, ${pyramid.pixelSizeUm.y * scale})  # x, y`,
    `dark_level = ${pyramid.darkLevel}  # samples - dark_level = counts`,
    ...(pyramid.format === 'tilestage'
      ? [
          '',
          '# The same with zarr 3, a chunk at a time:',
          `# zarr.open(${pythonText(`${zarr}/${level}`)}, mode="r")[${slice.timePoint}, ${zarrChannels(channels)}, ${slice.zPlane}, ${rows}, ${columns}]`,
        ]
      : []),
    '',
  ].join('\n')
}

/** No stage tells picometres apart. */
const um = (position: number): number => Number(position.toFixed(6))

function zarrChannels(channels: readonly number[]): string {
  return channels.length === 1 ? `${channels[0]}:${(channels[0] as number) + 1}` : `[${channels.join(', ')}]`
}

/** A string in Python's words; JSON's are among them where they are ASCII. */
function pythonText(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A comment ends with its line. */
const oneLine = (text: string): string => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
