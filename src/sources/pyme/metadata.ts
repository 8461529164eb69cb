import { CorruptDataError } from '../../errors.js'
import { parsePythonJson } from './python-json.js'

/** PYME's metadata files have a few kilobytes; more than this is not read. */
export const MAX_METADATA_BYTES = 16 * 2 ** 20

/** PYME's metadata: flat, with dotted keys such as `Camera.ADOffset`. */
export type PymeMetadata = Readonly<Record<string, unknown>>

/**
 * Parse `metadata.json` or `final_metadata.json`.
 *
 * @throws {CorruptDataError} not a JSON object.
 */
export function parseMetadata(bytes: Uint8Array, url: string): PymeMetadata {
  const value = parsePythonJson(bytes, url)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CorruptDataError(`${url} holds no JSON object with metadata keys.`, { url })
  }
  return value as PymeMetadata
}

/** What the metadata says about where and how the frames of a series were taken. */
export interface AcquisitionFacts {
  /** Undefined where a side is missing or no positive number of micrometres. */
  readonly pixelSizeUm: { readonly x: number; readonly y: number } | undefined
  /** Unix seconds; undefined where missing or not a number, as is the next one. */
  readonly startTimeS: number | undefined
  /** Seconds from one frame to the next. */
  readonly cycleTimeS: number | undefined
  /** Where the stage stood before its first move; NaN where the key holds no number. */
  readonly positionBeforeMoves: { readonly xUm: number; readonly yUm: number }
  readonly dataStartsAt: number
  readonly cameraRoi: { readonly x: number; readonly y: number }
  readonly darkLevel: number
  readonly dimensions: FrameDimensions
  readonly well: string | undefined
  /** One sentence for each thing that was missing, wrong or is not applied. */
  readonly problems: readonly string[]
}

/** How frame numbers count through channels, z-planes and the rest. */
export interface FrameDimensions {
  /** The letters C, Z and T, the one that changes from frame to frame first. */
  readonly order: string
  /** Undefined where the metadata leaves it open. */
  readonly sizes: { readonly C: number | undefined; readonly Z: number | undefined; readonly T: number | undefined }
}

/** Read the keys that matter for placing frames. What is missing or wrong gets its default and a sentence in `problems`. */
export function readAcquisitionFacts(metadata: PymeMetadata): AcquisitionFacts {
  const problems: string[] = []
  return {
    pixelSizeUm: readPixelSize(metadata, problems),
    startTimeS: finiteNumber(metadata.StartTime),
    cycleTimeS: finiteNumber(metadata['Camera.CycleTime']),
    positionBeforeMoves: {
      xUm: numberOr(0, metadata['Positioning.x']),
      yUm: numberOr(0, metadata['Positioning.y']),
    },
    dataStartsAt: readDataStartsAt(metadata, problems),
    cameraRoi: readCameraRoi(metadata, problems),
    darkLevel: readDarkLevel(metadata, problems),
    dimensions: readDimensions(metadata, problems),
    well: readWell(metadata),
    problems: [...problems, ...orientationProblems(metadata)],
  }
}

function finiteNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The fallback only where the key is absent; NaN where it holds something that is no number. */
function numberOr(fallback: number, value: unknown): number {
  return value === undefined ? fallback : (finiteNumber(value) ?? Number.NaN)
}

function readPixelSize(metadata: PymeMetadata, problems: string[]): AcquisitionFacts['pixelSizeUm'] {
  const x = finiteNumber(metadata['voxelsize.x'])
  const y = finiteNumber(metadata['voxelsize.y'])
  const units = metadata['voxelsize.units'] ?? 'um'
  if (units !== 'um') {
    problems.push(`The pixel size is unknown: voxelsize.units is ${JSON.stringify(units)}, not "um".`)
    return undefined
  }
  if (x === undefined || y === undefined || x <= 0 || y <= 0) {
    const [shownX, shownY] = [metadata['voxelsize.x'], metadata['voxelsize.y']].map(
      value => JSON.stringify(value) ?? 'missing',
    )
    problems.push(`The pixel size is unknown: voxelsize.x is ${shownX} and voxelsize.y is ${shownY}.`)
    return undefined
  }
  return { x, y }
}

function readDataStartsAt(metadata: PymeMetadata, problems: string[]): number {
  const value = metadata['Protocol.DataStartsAt']
  const frame = finiteNumber(value)
  if (frame === undefined) {
    const found = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`
    problems.push(`Protocol.DataStartsAt ${found}; all frames are used.`)
    return 0
  }
  return Math.max(0, Math.trunc(frame))
}

function readCameraRoi(metadata: PymeMetadata, problems: string[]): AcquisitionFacts['cameraRoi'] {
  const views = metadata['Multiview.ActiveViews']
  if (Array.isArray(views) && views.length > 0) {
    const origin = metadata['Multiview.ROI0Origin']
    const [x, y] = Array.isArray(origin) ? origin.map(finiteNumber) : []
    if (x !== undefined && y !== undefined) return { x, y }
    problems.push(
      'Multiview.ROI0Origin is missing or not a pair of numbers; the origin of the whole camera ROI is used.',
    )
  }
  const read = (axis: 'X' | 'Y'): number => {
    // The legacy keys count sensor pixels from 1.
    const origin = numberOr(numberOr(1, metadata[`Camera.ROIPos${axis}`]) - 1, metadata[`Camera.ROIOrigin${axis}`])
    if (!Number.isNaN(origin)) return origin
    problems.push(`The camera ROI has no number for its ${axis} origin; 0 is used.`)
    return 0
  }
  return { x: read('X'), y: read('Y') }
}

function readDarkLevel(metadata: PymeMetadata, problems: string[]): number {
  const value = metadata['Camera.ADOffset']
  const level = finiteNumber(value)
  if (level !== undefined) return level
  const found = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`
  problems.push(`Camera.ADOffset ${found}; a dark level of 0 counts is used.`)
  return 0
}

function readDimensions(metadata: PymeMetadata, problems: string[]): FrameDimensions {
  const size = (letter: string): number | undefined => {
    const value = finiteNumber(metadata[`Size${letter}`])
    // PYME writes −1 for "unknown when the acquisition began".
    return value !== undefined && value >= 1 ? Math.trunc(value) : undefined
  }
  const order = metadata.DimOrder ?? 'XYCZT'
  const valid = typeof order === 'string' && order.startsWith('XY') && [...order].sort().join('') === 'CTXYZ'
  if (!valid) problems.push(`DimOrder is ${JSON.stringify(order)}, not XY followed by C, Z and T; XYCZT is used.`)
  return { order: valid ? order.slice(2) : 'CZT', sizes: { C: size('C'), Z: size('Z'), T: size('T') } }
}

function readWell(metadata: PymeMetadata): string | undefined {
  const well = metadata['Sample.Well']
  return typeof well === 'string' && well.trim() !== '' ? well.trim() : undefined
}

function orientationProblems(metadata: PymeMetadata): string[] {
  const set = ['Rotate', 'FlipX', 'FlipY']
    .map(name => `CameraOrientation.${name}`)
    .filter(key => Boolean(metadata[key]))
  if (set.length === 0) return []
  return [
    `${set.join(' and ')} ${set.length > 1 ? 'are' : 'is'} set and not applied; --flip-image and --rotate-image do so.`,
  ]
}
