/**
 * `Promise.all(items.map(work))` with at most `limit` of them under way. After a failure no further one is begun, those
 * under way are waited for (nothing goes on behind the caller's back), and of several failures that of the first item
 * is thrown.
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const failures = new Map<number, unknown>()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.size === 0) {
      const index = next++
      try {
        results[index] = await work(items[index]!)
      } catch (error) {
        failures.set(index, error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  if (failures.size > 0) throw failures.get(Math.min(...failures.keys()))
  return results
}
