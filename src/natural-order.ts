const collator = new Intl.Collator('en', { numeric: true })

/** Compares names as people sort them: `well_A2` before `well_A10`. */
export const naturalOrder = collator.compare
