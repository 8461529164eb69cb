import { pyramidUrl, request } from './pyramid-api.js'

/** A marked place in stage µm: a point, or a rectangle whose corner with the smallest x and y this is. */
export interface RoiShape {
  readonly x: number
  readonly y: number
  readonly w?: number
  readonly h?: number
  readonly name?: string
}

export interface Roi extends RoiShape {
  /** Never given again. */
  readonly id: number
}

/** A list at one moment, and those of its ROIs that were asked for or changed. */
export interface RoiReply {
  /** Counts changes. */
  readonly revision: number
  readonly count: number
  readonly rois: readonly Roi[]
}

/** The ROIs of a pyramid have changed. */
export interface RoiEvent {
  readonly id: string
  readonly revision: number
  readonly count: number
}

export const roisUrl = (pyramidId: string): string => `${pyramidUrl(pyramidId)}/rois`

/** @throws as `request`: 401 where the server wants its token for changes. */
async function ask(url: string, method: string, body?: unknown): Promise<RoiReply> {
  const init: RequestInit = { method, cache: 'no-store' }
  if (body !== undefined) {
    const isTable = typeof body === 'string'
    init.body = isTable ? body : JSON.stringify(body)
    init.headers = { 'Content-Type': isTable ? 'text/csv' : 'application/json' }
  }
  return (await (await request(url, init)).json()) as RoiReply
}

export function readRois(pyramidId: string): Promise<RoiReply> {
  return ask(roisUrl(pyramidId), 'GET')
}

/** @param shapes or a table as CSV. */
export function addRois(pyramidId: string, shapes: readonly RoiShape[] | string): Promise<RoiReply> {
  return ask(roisUrl(pyramidId), 'POST', shapes)
}

export function renameRoi(pyramidId: string, id: number, name: string): Promise<RoiReply> {
  return ask(`${roisUrl(pyramidId)}/${id}`, 'PATCH', { name: name || null })
}

export function removeRoi(pyramidId: string, id: number): Promise<RoiReply> {
  return ask(`${roisUrl(pyramidId)}/${id}`, 'DELETE')
}

/** Those that bring their id keep it. */
export function replaceRois(pyramidId: string, rois: readonly Roi[]): Promise<RoiReply> {
  return ask(`${roisUrl(pyramidId)}?replace=1`, 'POST', rois)
}
