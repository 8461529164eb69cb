import type { PointUm } from '../server/pyramid-api.js'

const MAX_NAME = 80

/**
 * `{pyramid}_{well}_{x}_{y}um.{ext}`, of characters that every disk takes.
 *
 * @param well some are called as their pyramid. @param centerUm stage position; said to whole µm.
 */
export function fileName(pyramid: string, well: string | undefined, centerUm: PointUm, extension: string): string {
  const place = `${Math.round(centerUm.x)}_${Math.round(centerUm.y)}um`
  const parts = [safe(pyramid), ...(well && well !== pyramid ? [safe(well)] : []), place]
  return `${parts.join('_')}.${extension}`
}

/** Letters and digits of any script stay; a name may not be empty or hidden. */
function safe(text: string): string {
  const plain = text
    .normalize('NFC')
    .replace(/[^\p{L}\p{N}.+-]+/gu, '_')
    .replace(/^[._]+|[._]+$/g, '')
  return plain.slice(0, MAX_NAME) || 'pyramid'
}
