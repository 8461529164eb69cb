/** A value without the digits that a product has only because numbers are binary. */
export function decimal(value: number): number {
  return Number(value.toPrecision(12))
}
