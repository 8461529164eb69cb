import { NotFoundError, UsageError } from '../../errors.js'
import type { MosaicSelection, Pyramid } from '../../pyramid/pyramid.js'

/** Query or form fields as they arrive: a list where one was repeated. Names that we do not know are left alone. */
export type Parameters = Readonly<Record<string, string | readonly string[] | undefined>>

/** A route below `/pyramids/:id`, as fastify wants to know it. */
export interface PyramidRoute {
  readonly Params: { readonly id: string }
  readonly Querystring: Parameters
  readonly Body: unknown
}

/** Far beyond any sample, and differences of two such numbers are still finite. */
const LARGEST_NUMBER = 1e30

/** @throws {UsageError} the parameter is repeated or empty. */
export function readText(parameters: Parameters, name: string): string | undefined {
  const value = parameters[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw new UsageError(`The parameter ${name} is given more than once.`)
  if (value === '') throw new UsageError(`The parameter ${name} is empty.`)
  return value
}

/** @throws {UsageError} no finite number, or one outside `min` … `max`. */
export function readNumber(
  parameters: Parameters,
  name: string,
  { min = -LARGEST_NUMBER, max = LARGEST_NUMBER } = {},
): number | undefined {
  const text = readText(parameters, name)
  if (text === undefined) return undefined
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new UsageError(`The parameter ${name} is ${quote(text)}; it must be a number from ${min} to ${max}.`)
}

/** @throws {UsageError} no whole number, or one outside `min` … `max`. */
export function readInteger(
  parameters: Parameters,
  name: string,
  { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = {},
): number | undefined {
  const text = readText(parameters, name)
  if (text === undefined) return undefined
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  const range = min === Number.MIN_SAFE_INTEGER ? '' : ` from ${min} to ${max}`
  throw new UsageError(`The parameter ${name} is ${quote(text)}; it must be a whole number${range}.`)
}

/** @throws {UsageError} neither `1` or `true` nor `0` or `false`. */
export function readFlag(parameters: Parameters, name: string): boolean | undefined {
  const text = readText(parameters, name)
  if (text === undefined) return undefined
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  throw new UsageError(`The parameter ${name} is ${quote(text)}; it is 1 or 0.`)
}

/** A number that must be given. */
export function requireNumber(parameters: Parameters, name: string, range?: { min?: number; max?: number }): number {
  return given(readNumber(parameters, name, range), name)
}

/** A whole number that must be given. */
export function requireInteger(parameters: Parameters, name: string): number {
  return given(readInteger(parameters, name), name)
}

/** A text that must be given. */
export function requireText(parameters: Parameters, name: string): string {
  return given(readText(parameters, name), name)
}

function given<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw new UsageError(`The parameter ${name} is missing.`)
  return value
}

/**
 * Which plane `channel`, `depth` and `t` name; 0 where they are not given. What is no whole number is a wrong request
 * (400), a whole number that the pyramid does not have leads nowhere (404).
 */
export function readSelection(parameters: Parameters, pyramid: Pyramid): MosaicSelection {
  return {
    channel: readIndex(parameters, 'channel', pyramid.channels.length),
    zPlane: readIndex(parameters, 'depth', pyramid.zPlanes),
    timePoint: readIndex(parameters, 't', pyramid.timePoints),
  }
}

/** @throws {NotFoundError} a whole number that is not below `count`. */
export function readIndex(parameters: Parameters, name: string, count: number): number {
  const index = readInteger(parameters, name) ?? 0
  if (index >= 0 && index < count) return index
  throw new NotFoundError(`There is no ${name} ${index}; ${count === 1 ? 'only 0 exists' : `0 to ${count - 1} exist`}.`)
}

/** Entries of a list; a pyramid may have more channels, but nobody compares more of them. */
const MAX_LIST = 64

/**
 * Which of `count` things a list such as `0,2` names; undefined where none is given.
 *
 * @throws {UsageError} no list of whole numbers, or one of them twice. @throws {NotFoundError} one is not below `count`.
 */
export function readIndexes(parameters: Parameters, name: string, count: number): number[] | undefined {
  const parts = readText(parameters, name)?.split(',')
  if (parts && parts.length > MAX_LIST)
    throw new UsageError(`The parameter ${name} lists ${parts.length} entries; ${MAX_LIST} are possible.`)
  const indexes = parts?.map(part => readIndex({ [name]: part }, name, count))
  if (indexes && new Set(indexes).size < indexes.length)
    throw new UsageError(`The parameter ${name} names one of its entries twice.`)
  return indexes
}

/** A client's own words in a message: short, and visibly quoted. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
