import type { Rect, SampleType } from '../../src/plane.js'
import { keptByTab } from '../parts/kept.js'
import { answerOfExport, isExported } from './exported-page.js'

export interface PointUm {
  readonly x: number
  readonly y: number
}

/** A pair of stored values shown as black and as full colour. */
export interface Window {
  readonly black: number
  readonly white: number
}

export interface Well extends Rect {
  readonly name: string
  readonly frames: number
}

/** What the server knows of a pyramid; level 0 is full resolution, rectangles are level-0 pixels. */
export interface PyramidInfo {
  readonly id: string
  readonly name: string
  /** Changes whenever a pixel may have changed. */
  readonly version: string
  readonly complete: boolean
  /** `tilestage`, or what made it instead. */
  readonly format: string
  readonly width: number
  readonly height: number
  readonly tileSize: number
  readonly levelCount: number
  /** Stage position of the centre of pixel (0, 0). */
  readonly originUm: PointUm
  readonly pixelSizeUm: PointUm
  readonly sampleType: SampleType
  /** The stored value that stands for dark: stored − dark level = counts above dark. */
  readonly darkLevel: number
  /** Whether nobody knows how large a pixel is: what is in µm is in pixels then. */
  readonly isUncalibrated?: boolean
  readonly channels: readonly ChannelInfo[]
  readonly zPlanes: number
  readonly timePoints: number
  /** What planes stand for where that is not depth and time. */
  readonly axes?: { readonly zPlane: PlaneAxis | null; readonly timePoint: PlaneAxis | null }
  readonly covered: Rect | null
  readonly wells: readonly Well[]
  /** Where the images of a stack lie side by side in it; null where it is none. */
  readonly items?: ItemsInfo | null
  readonly frames: { readonly used: number; readonly skipped: number } | null
  /** While it is being built: how far that is. */
  readonly growth?: Growth | null
}

/** Images that lie side by side: number n in column n % columns, row ⌊n / columns⌋; sizes and places are level-0 px. */
export interface ItemsInfo {
  readonly count: number
  readonly columns: number
  /** Of an image. */
  readonly width: number
  readonly height: number
  /** Upper left corner of the first one. */
  readonly x: number
  readonly y: number
  /** Names of what is known of each. */
  readonly fields: readonly string[]
}

export interface ChannelInfo {
  readonly name: string
  readonly color: string | null
  /** Of its samples; null of counts and of what has none. */
  readonly unit?: string | null
  /** Whether it is seen at first; null where nobody said. */
  readonly active?: boolean | null
  readonly window: Window
}

interface PlaneAxis {
  readonly name: string
  readonly unit: string
  /** One for each plane, or none. */
  readonly values: readonly (number | string)[]
}

/** The progress fields are null where nothing is known of the builder, e.g. because it is another process. */
export interface BuildProgress {
  readonly framesDone: number | null
  readonly framesTotal: number | null
  readonly secondsLeft: number | null
}

export interface Growth extends BuildProgress {
  /** Counts changes of the frames that are going to be in the pyramid. */
  readonly plan: number
}

export type PyramidSummary = Pick<
  PyramidInfo,
  'id' | 'name' | 'version' | 'complete' | 'width' | 'height' | 'pixelSizeUm' | 'growth'
> & {
  readonly current: boolean
}

export interface CurrentPyramid {
  readonly current: Pick<PyramidInfo, 'id' | 'name' | 'version'> | null
  readonly revision: number
  /** Grows with every change of the current pyramid's tiles. */
  readonly changes?: number
}

/** A builder got on with a pyramid, or ended. */
export interface BuildEvent extends BuildProgress {
  /** Null before there is a pyramid. */
  readonly id: string | null
  readonly complete: boolean
  /** Of a build that the server does for its clients. */
  readonly state?: 'queued' | 'running' | 'done' | 'failed' | 'cancelled'
  /** Why it failed. */
  readonly message?: string | null
}

/** Shards of a growing pyramid that have changed; a version names the samples of all tiles of its shard. */
export interface TilesEvent {
  readonly id: string
  readonly plan: number
  readonly shards: readonly ShardVersion[]
}

export interface ShardVersion {
  readonly channel: number
  readonly depth: number
  readonly t: number
  readonly level: number
  readonly row: number
  readonly column: number
  readonly version: string
}

/** A swap that the server turned down; `number` grows with each. */
export interface RefusedSwap {
  readonly tileDir: string
  readonly message: string
  readonly number: number
}

export interface CoverageRuns {
  readonly version: string
  /** Of a growing pyramid: the plan that the tiles are of. */
  readonly plan?: number
  readonly levels: readonly {
    readonly level: number
    readonly columns: number
    readonly rows: number
    /** Lengths of alternating runs over the tiles in row-major order: empty, present, empty, … */
    readonly runs: readonly number[]
    /** Of a growing pyramid: versions of the shards that have something to show, by `row/column`. */
    readonly shards?: Readonly<Record<string, string>>
  }[]
}

export interface HistogramReply {
  readonly min: number
  readonly max: number
  readonly binStart: number
  readonly binWidth: number
  readonly counts: readonly number[]
  readonly window: Window
}

/** Which plane of a pyramid is looked at; 0-based. */
export interface PlaneSelection {
  readonly channel: number
  readonly zPlane: number
  readonly timePoint: number
}

export interface TileAddress {
  readonly level: number
  readonly column: number
  readonly row: number
}

/** The server answered, but not with what was asked for. */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ApiError'
    this.status = status
  }
}

/** Why something failed, in a sentence: browsers have words of their own for a server that does not answer. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && !(error instanceof TypeError) ? error.message : 'The server does not answer.'
}

const TOKEN_KEY = 'tilestage-token'

/** Move `#token=…` out of the address bar, where it would be copied along, into this tab's memory; the rest stays. */
export function keepToken(): void {
  const parts = location.hash.slice(1).split('&')
  const rest = parts.filter(part => !part.startsWith('token='))
  if (rest.length === parts.length) return
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (token) keptByTab.set(TOKEN_KEY, token)
  const hash = rest.length > 0 ? `#${rest.join('&')}` : ''
  history.replaceState(history.state, '', location.pathname + location.search + hash)
}

/** Whether this tab was given a token. */
export function hasToken(): boolean {
  return keptByTab.get(TOKEN_KEY) !== undefined
}

/** Change the server with this token from now on, as long as this tab is open. */
export function useToken(token: string): void {
  keptByTab.set(TOKEN_KEY, token)
}

/**
 * Ask the server. Every URL is relative, so that the page works below any path prefix.
 *
 * @throws {ApiError} the server refused. @throws {TypeError} it did not answer.
 */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const reply = await (isExported ? answerOfExport(url, init) : askServer(url, init))
  if (reply.ok) return reply
  const problem = (await reply.json().catch(() => undefined)) as { message?: string } | undefined
  throw new ApiError(reply.status, problem?.message ?? `The server answered ${reply.status}.`)
}

function askServer(url: string, init: RequestInit): Promise<Response> {
  const token = keptByTab.get(TOKEN_KEY)
  return fetch(url, { ...init, headers: { ...init.headers, ...(token && { 'X-Tilestage-Token': token }) } })
}

/** @throws as `request`. */
export async function readJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(url, { signal: signal ?? null, cache: 'no-cache' })).json()) as T
}

export const pyramidUrl = (id: string): string => `pyramids/${encodeURIComponent(id)}`

export function readCurrent(signal?: AbortSignal): Promise<CurrentPyramid & { readonly refused: RefusedSwap | null }> {
  return readJson('current', signal)
}

export async function listPyramids(): Promise<readonly PyramidSummary[]> {
  return (await readJson<{ pyramids: PyramidSummary[] }>('pyramids')).pyramids
}

/** Name and version of the program that serves. */
export async function readSoftware(): Promise<string> {
  return `tilestage ${(await readJson<{ version: string }>('healthz')).version}`
}

/** An address that a link can open: it cannot send the token, so the server signs it. */
export async function linkableUrl(url: string): Promise<string> {
  if (!hasToken()) return url
  try {
    const reply = await request('signatures', { method: 'POST', body: new URLSearchParams({ url }) })
    return ((await reply.json()) as { url: string }).url
  } catch (error) {
    // The token is of no use here: the server has none, or another one.
    if (error instanceof ApiError) return url
    throw error
  }
}

export function readPyramid(id: string): Promise<PyramidInfo> {
  return readJson(pyramidUrl(id))
}

export const planeQuery = ({ channel, timePoint, zPlane }: PlaneSelection): string =>
  `channel=${channel}&t=${timePoint}&depth=${zPlane}`

/** A rectangle of level-0 px. */
export const rectQuery = ({ x0, y0, x1, y1 }: Rect): string => `x=${x0}&y=${y0}&w=${x1 - x0}&h=${y1 - y0}&units=px`

export function readCoverage(id: string, plane: PlaneSelection): Promise<CoverageRuns> {
  return readJson(`${pyramidUrl(id)}/coverage?${planeQuery(plane)}`)
}

/** As many as the histogram panel can draw, and more. */
const HISTOGRAM_BINS = 1024

/** How often the values of a channel occur. */
export function readHistogram(id: string, channel: number): Promise<HistogramReply> {
  return readJson(`${pyramidUrl(id)}/histogram?channel=${channel}&bins=${HISTOGRAM_BINS}`)
}

/** The 256 bins between the smallest and the largest value of a channel that it is equalized by. */
export function readEqualization(id: string, channel: number): Promise<HistogramReply> {
  return readJson(`${pyramidUrl(id)}/equalization?channel=${channel}`)
}

/** The same of one plane of a well; the server counts a level that is quickly read. */
export function readWellHistogram(id: string, plane: PlaneSelection, well: Rect): Promise<HistogramReply> {
  return readJson(`${pyramidUrl(id)}/histogram?${planeQuery(plane)}&${rectQuery(well)}&bins=${HISTOGRAM_BINS}`)
}

/**
 * The samples of one tile, little endian, followed by a mask where the tile is partly covered.
 *
 * @param version of the tile while the pyramid grows, else of the pyramid.
 * @returns `undefined` where the tile is empty, or not built yet.
 */
export async function readTileBytes(
  pyramid: PyramidInfo,
  plane: PlaneSelection,
  tile: TileAddress,
  version: string,
  signal: AbortSignal,
): Promise<ArrayBuffer | undefined> {
  // The server counts zooms from the coarse end; this is the only place that knows.
  const zoom = pyramid.levelCount - 1 - tile.level
  const query = `${planeQuery(plane)}&v=${encodeURIComponent(version)}`
  const reply = await request(`${pyramidUrl(pyramid.id)}/tiles/${zoom}/${tile.column}/${tile.row}.bin?${query}`, {
    signal,
  })
  return reply.status === 204 ? undefined : reply.arrayBuffer()
}
