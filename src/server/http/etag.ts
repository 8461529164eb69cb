/** Whether an `If-None-Match` header names the entity tag, compared weakly as for GET. Tags may have commas in them. */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header === etag || header.trim() === '*') return true
  return header.match(/"[^"]*"/g)?.some(tag => tag === etag) === true
}
