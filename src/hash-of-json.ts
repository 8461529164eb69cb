import { createHash } from 'node:crypto'

/** 16 hex digits that stand for a value: equal values, written as JSON, have the same. */
export function hashOfJson(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
}
