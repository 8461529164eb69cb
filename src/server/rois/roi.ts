/** Everything that a list may hold; a plate with one object in every field has a few thousand. */
export const MAX_ROIS = 100_000

/** A marked place in stage µm: a point, or a rectangle where it has a width and a height. */
export interface RoiShape {
  /** Of a rectangle, the corner with the smallest x and y. */
  readonly x: number
  readonly y: number
  readonly w?: number
  readonly h?: number
  readonly name?: string
}

/** A place of a list; its id stays whatever happens to it, and is never given again. */
export interface Roi extends RoiShape {
  readonly id: number
}

/** x and y of a point or of the middle of a rectangle, µm. */
export function centreOf({ x, y, w = 0, h = 0 }: RoiShape): readonly [x: number, y: number] {
  return [x + w / 2, y + h / 2]
}
