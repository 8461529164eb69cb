import { fileOfAnswer } from '../../src/export/static-files.js'
import type { RoiReply } from './roi-api.js'

/** Set by an export: the pyramid's id, and where files lie as seen from the page. A page of a server has none of it. */
const folders = document.documentElement.dataset

/** Whether this page was exported, so that there is no server behind it. */
export const isExported = folders.view !== undefined

/** There are no ROIs: those of a server are not exported. */
const NO_ROIS: RoiReply = { revision: 0, count: 0, rois: [] }

/** What a server would have answered. 404 where the export has no answer; then nothing is asked over the network. */
export function answerOfExport(url: string, { method = 'GET', signal }: RequestInit): Promise<Response> | Response {
  if (method === 'GET' && url.endsWith('/rois')) return Response.json(NO_ROIS)
  const isOfOther = /^pyramids\/([^/?]+)/.exec(url)?.[1] !== folders.pyramid && url.startsWith('pyramids/')
  const file = method === 'GET' && !isOfOther ? fileOfAnswer(url) : undefined
  if (!file) return Response.json({ message: 'This page was exported: that needs a server.' }, { status: 404 })
  return fetch(`${folders[file.folder]}${file.name}`, { signal: signal ?? null })
}
