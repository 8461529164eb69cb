/** Height of a map's title, px. */
const TITLE_PX = 28
/** Maps smaller than this are not told from each other: the page scrolls instead. */
const LEAST_PX = 160

/**
 * In how many columns maps are drawn largest.
 *
 * @param aspect width to height of a map. @param width of all of them together, px.
 */
export function columnsFor(maps: number, aspect: number, width: number, height: number): number {
  const most = Math.max(1, Math.min(maps, Math.floor(width / LEAST_PX)))
  let best = 1
  let bestScale = 0
  for (let columns = 1; columns <= most; columns++) {
    const rows = Math.ceil(maps / columns)
    const cellWidth = width / columns
    const cellHeight = Math.max(LEAST_PX, height / rows) - TITLE_PX
    const scale = Math.min(cellWidth / aspect, cellHeight)
    // Where more columns cost nothing, less has to be scrolled.
    if (scale >= bestScale) {
      best = columns
      bestScale = scale
    }
  }
  return best
}
