import { type Rect, unite } from '../plane.js'

/** What is known of one series when its wells are named. */
export interface WellSource {
  readonly name: string
  /** Path of the series, for a well's name in it. */
  readonly path: string
  /** What the metadata says. */
  readonly well: string | undefined
}

/** Distances between wells that plates have, µm: 96, 384 and 1536 wells. */
const PITCHES_UM = [9000, 4500, 2250]

/** How far, as a share of the pitch, a well's middle may lie from its lattice point. */
const LATTICE_TOLERANCE = 0.1

const WELL = '(A[A-F]|[A-Z])0*([1-9]|[1-3][0-9]|4[0-8])'
const WHOLE_WELL = new RegExp(`^${WELL}$`, 'i')
/** Capital letters only: paths are full of `t1` and `v2`. */
const WELL_IN_NAME = new RegExp(`(?<![A-Za-z0-9])${WELL}(?![A-Za-z0-9])`, 'g')

/** `B7` from `b07`; undefined where `text` is no well name. */
export function parseWell(text: string): string | undefined {
  const match = WHOLE_WELL.exec(text.trim())
  return match ? `${match[1].toUpperCase()}${match[2]}` : undefined
}

/** The last well name that stands on its own in a path (`/plate_3/well_B07.pcs` → `B7`). */
export function wellInPath(path: string): string | undefined {
  // The last component that names one wins; within it, the last name.
  for (const part of path.split(/[\\/]/).reverse()) {
    const match = [...part.matchAll(WELL_IN_NAME)].at(-1)
    if (match) return `${match[1]}${match[2]}`
  }
  return undefined
}

export interface NamedWells {
  /** The well of every frame. */
  readonly names: readonly string[]
  /** Whether the names were guessed from a lattice of positions, and with which pitch. */
  readonly pitchUm: number | undefined
}

/**
 * Name the well of every frame: from the metadata, else from the series' path, else from positions that fit a plate's
 * lattice (A1 is then the smallest x and y), else the series' name. Series that lie over each other, as time points do, are
 * one well: the first gives its name.
 *
 * @param frames the series (index into `sources`) and the level-0 rectangle of every frame.
 */
export function nameWells(
  sources: readonly WellSource[],
  frames: readonly { readonly series: number; readonly rect: Rect }[],
  pixelSizeUm: { readonly x: number; readonly y: number },
): NamedWells {
  const named = sources.map(({ well, path }) => (well ? (parseWell(well) ?? well) : wellInPath(path)))
  if (named.every(name => name !== undefined))
    return { names: frames.map(frame => named[frame.series]), pitchUm: undefined }
  const groups = groupTouching(frames.map(frame => frame.rect))
  const boxes = boxesOf(frames, groups)
  for (const pitchUm of PITCHES_UM) {
    const cells = fitLattice(boxes, pitchUm / pixelSizeUm.x, pitchUm / pixelSizeUm.y)
    if (!cells) continue
    return { names: frames.map((frame, i) => named[frame.series] ?? cells[groups[i]]), pitchUm }
  }
  const boxOf = boxesOf(
    frames,
    frames.map(({ series }) => series),
  )
  const first = boxOf.map(box => boxOf.findIndex(other => other && liesOver(box, other)))
  return { names: frames.map(({ series }) => named[series] ?? sources[first[series]].name), pitchUm: undefined }
}

/** Whether the middle of a box is in another; where the stage returns, it does so within some pixels only. */
function liesOver({ x0, y0, x1, y1 }: Rect, other: Rect): boolean {
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2]
  return x >= other.x0 && x < other.x1 && y >= other.y0 && y < other.y1
}

/**
 * Number the groups of frames that touch, a gap of half a frame allowed.
 * @returns the group of every rectangle, groups counted from 0 in order of their first member.
 */
function groupTouching(rects: readonly Rect[]): number[] {
  const parent = rects.map((_, i) => i)
  const find = (i: number): number => {
    let root = i
    while (parent[root] !== root) root = parent[root]
    while (parent[i] !== root) [parent[i], i] = [root, parent[i]]
    return root
  }
  // Two frames that share a cell of half a frame's width belong together: no need to compare every pair.
  const first = rects[0]
  if (!first) return []
  const cell = Math.max(1, Math.floor(Math.max(first.x1 - first.x0, first.y1 - first.y0) / 2))
  const columns = Math.floor(rects.reduce((right, { x1 }) => Math.max(right, x1), 0) / cell) + 2
  const owner = new Map<number, number>()
  rects.forEach((rect, i) => {
    for (let y = Math.floor(rect.y0 / cell); y <= Math.floor(rect.y1 / cell) + 1; y++) {
      for (let x = Math.floor(rect.x0 / cell); x <= Math.floor(rect.x1 / cell) + 1; x++) {
        const other = owner.get(y * columns + x)
        if (other === undefined) owner.set(y * columns + x, i)
        else parent[find(i)] = find(other)
      }
    }
  })
  const numbers = new Map<number, number>()
  return rects.map((_, i) => {
    const root = find(i)
    if (!numbers.has(root)) numbers.set(root, numbers.size)
    return numbers.get(root) as number
  })
}

/** The box around the frames of every group. */
function boxesOf(frames: readonly { readonly rect: Rect }[], groups: readonly number[]): Rect[] {
  const boxes: Rect[] = []
  frames.forEach(({ rect }, i) => {
    boxes[groups[i]] = unite(boxes[groups[i]], rect)
  })
  return boxes
}

/** The well name of every box where their middles fit the lattice, each box in a place of its own. */
function fitLattice(boxes: readonly Rect[], pitchX: number, pitchY: number): string[] | undefined {
  if (boxes.length < 2) return undefined
  const middles = boxes.map(box => ({ x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2 }))
  const left = middles.reduce((least, { x }) => Math.min(least, x), Number.POSITIVE_INFINITY)
  const top = middles.reduce((least, { y }) => Math.min(least, y), Number.POSITIVE_INFINITY)
  const names = middles.map(({ x, y }) => {
    const column = (x - left) / pitchX
    const row = (y - top) / pitchY
    const off = Math.max(Math.abs(column - Math.round(column)), Math.abs(row - Math.round(row)))
    return off <= LATTICE_TOLERANCE && column < 47.5 && row < 31.5
      ? `${rowName(Math.round(row))}${Math.round(column) + 1}`
      : ''
  })
  return names.every(Boolean) && new Set(names).size === names.length ? names : undefined
}

function rowName(row: number): string {
  const letter = String.fromCharCode(65 + (row % 26))
  return row < 26 ? letter : `A${letter}`
}
