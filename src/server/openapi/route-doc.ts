/** Sections of the documentation, in its order; also how requests are counted (`/metrics`). */
export const ROUTE_GROUPS = {
  Page: 'The viewer and its files.',
  Current: 'What everybody looks at, how it is changed, and how pages hear of it.',
  Tiles: 'Square images or samples of a pyramid.',
  Pyramids: 'The pyramids that the server has open, and what is known of each.',
  Regions: 'Any rectangle at any size, and the numbers in it.',
  'Other viewers': 'The same pyramids as Deep Zoom Images, IIIF images and OME-Zarr.',
  ROIs: 'Points and rectangles that are marked on a pyramid.',
  Detections: 'Detectors that are run for marked places.',
  Builds: 'Pyramids that the server makes.',
  Server: 'Health, figures and rights of the server itself.',
} as const

export type RouteGroup = keyof typeof ROUTE_GROUPS

/** One parameter of a path, a query, or a form or JSON body. */
export interface ParameterDoc {
  readonly type: 'string' | 'number' | 'integer' | 'boolean'
  /** What it means, with its unit. */
  readonly description: string
  readonly required?: true
  /** Several values between commas. */
  readonly list?: true
  /** The values that there are. */
  readonly values?: readonly string[]
  readonly min?: number
  readonly max?: number
  /** What it is where it is not given. */
  readonly fallback?: string | number
  readonly example?: string | number
}

export type ParameterDocs = Readonly<Record<string, ParameterDoc>>

/** What is sent in the body. */
export interface BodyDoc {
  readonly description?: string
  /** Fields of a form or of a flat JSON object; each may stand in the query as well. */
  readonly fields?: ParameterDocs
  /** Bodies of other kinds: media type and what it holds. */
  readonly types?: Readonly<Record<string, string>>
}

/** One kind of answer: what it is, and its media types where it is not JSON. */
export type AnswerDoc = string | { readonly description: string; readonly types: readonly string[] }

/**
 * What a request costs, and so how many of them one client may send: tiles and numbers that are at hand cost little,
 * `work` reads or computes much, a `change` alters what others see.
 */
export type RouteCost = 'little' | 'work' | 'change'

export interface RouteDoc {
  readonly group: RouteGroup
  /** A few words. */
  readonly summary: string
  /** Whole sentences. */
  readonly description?: string
  /** Of the path; `id`, `z`, `x` and the like are known already. */
  readonly path?: ParameterDocs
  readonly query?: ParameterDocs
  readonly body?: BodyDoc
  /** By status. Those that every route may give (400, 403, 404, 500 …) need not be told. */
  readonly answers: Readonly<Record<number, AnswerDoc>>
  readonly cost?: RouteCost
  /** Whether `--private` leaves it open to everybody: it tells nothing of the data. */
  readonly open?: true
}

declare module 'fastify' {
  interface FastifyContextConfig {
    doc?: RouteDoc
  }
}

/**
 * Options of a route that carry its documentation. It stands in the route's `config` and not in its `schema`, so that
 * it costs a request nothing: values are checked by `parameters.ts`, whose sentences say what is possible.
 */
export function documented(doc: RouteDoc): { readonly config: { readonly doc: RouteDoc } } {
  return { config: { doc } }
}
