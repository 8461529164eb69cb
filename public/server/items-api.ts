import { type PyramidInfo, pyramidUrl, readJson } from './pyramid-api.js'

export type ItemValue = string | number | boolean | null

/** What the table tells of one image. */
export type ItemRow = Readonly<Record<string, ItemValue>>

/** What a field holds. */
export interface ItemField {
  readonly name: string
  /** How often each value occurs; absent where there are too many. */
  readonly values?: readonly { readonly value: ItemValue; readonly count: number }[]
}

/** The fields of the table of a stack. */
export function readItems({ id }: PyramidInfo): Promise<{ readonly fields: readonly ItemField[] }> {
  return readJson(`${pyramidUrl(id)}/items?limit=1`)
}

/** The row of an image; null where there is no table. */
export async function readItem({ id }: PyramidInfo, n: number): Promise<ItemRow | null> {
  return (await readJson<{ readonly row: ItemRow | null }>(`${pyramidUrl(id)}/items/${n}`)).row
}

/** The numbers of all images with a value. */
export async function readMatching({ id }: PyramidInfo, field: string, value: string): Promise<readonly number[]> {
  const query = `${encodeURIComponent(field)}=${encodeURIComponent(value)}&numbers=1`
  return (await readJson<{ readonly numbers: readonly number[] }>(`${pyramidUrl(id)}/items?${query}`)).numbers
}
