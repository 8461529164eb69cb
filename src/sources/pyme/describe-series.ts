import { CorruptDataError, LimitExceededError } from '../../errors.js'
import type { Frame, FrameSeries, StagePosition } from '../frame-source.js'
import { placeFrames, type StageMoves } from './events.js'
import { type FrameDimensions, type PymeMetadata, readAcquisitionFacts } from './metadata.js'
import type { PzfHeader } from './pzf-header.js'

/** Far above any microscope; a larger SizeC or SizeZ is a damaged one. */
const MAX_DIMENSION = 4096

/** What every kind of PYME series (folder, cluster, HDF5) has once its files are found. */
export interface SeriesParts {
  readonly name: string
  /** For the messages. */
  readonly url: string
  readonly metadata: PymeMetadata
  readonly moves: StageMoves
  /** Sorted, each once. */
  readonly frameNumbers: readonly number[]
  /** Of each of them. */
  readonly frameStamps: readonly string[]
  readonly frameShape: Pick<PzfHeader, 'width' | 'height' | 'sampleType'>
  readonly complete: boolean
  /** What was noticed while the files were found. */
  readonly problems: readonly string[]
  readonly fingerprint: string
}

/**
 * Put a series together: place every frame by the series' own moves and metadata, and give it its channel and z-plane.
 *
 * @throws {CorruptDataError} a frame's position is not a finite number.
 * @throws {LimitExceededError} thousands of channels or z-planes.
 */
export function describeSeries(parts: SeriesParts): FrameSeries {
  const { url, metadata, frameNumbers, frameStamps } = parts
  const facts = readAcquisitionFacts(metadata)
  const positions = placeFrames(parts.moves, facts.positionBeforeMoves, frameNumbers)
  const counts = countDimensions(facts.dimensions, frameNumbers.at(-1)! + 1, url)
  const frames = frameNumbers.map((index, i): Frame => {
    const stagePosition = positions[i]!
    expectFinite(stagePosition, index, url)
    return {
      index,
      position: addCameraRoi(stagePosition, facts.pixelSizeUm, facts.cameraRoi),
      stagePosition,
      ...locateFrame(index, facts.dimensions.order, counts),
      timePoint: 0,
      stamp: frameStamps[i]!,
    }
  })
  return {
    name: parts.name,
    frames,
    dataStartsAt: facts.dataStartsAt,
    frameSize: { width: parts.frameShape.width, height: parts.frameShape.height },
    sampleType: parts.frameShape.sampleType,
    pixelSizeUm: facts.pixelSizeUm,
    channels: Array.from({ length: counts.C }, (_, channel) => ({ name: `Channel ${channel + 1}` })),
    zPlanes: counts.Z,
    darkLevel: facts.darkLevel,
    well: facts.well,
    cameraRoi: facts.cameraRoi,
    complete: parts.complete,
    problems: [
      ...parts.problems,
      ...facts.problems,
      ...(parts.moves.ignored > 0
        ? [`Stage events whose description is no number were ignored: ${parts.moves.ignored}.`]
        : []),
      ...countProblems(facts.dimensions.sizes, frameNumbers.length),
    ],
    metadata,
    fingerprint: parts.fingerprint,
  }
}

function expectFinite({ xUm, yUm }: StagePosition, frameIndex: number, url: string): void {
  if (Number.isFinite(xUm) && Number.isFinite(yUm)) return
  throw new CorruptDataError(
    `Frame ${frameIndex} of ${url} comes before the first move of the stage, and Positioning.x or .y is no finite number.`,
    { url, frameIndex },
  )
}

/** Without a pixel size the camera ROI has no length in µm, and the position is the stage's alone. */
function addCameraRoi(
  stage: StagePosition,
  pixelSizeUm: FrameSeries['pixelSizeUm'],
  roi: FrameSeries['cameraRoi'],
): StagePosition {
  if (pixelSizeUm === undefined) return stage
  return { xUm: stage.xUm + pixelSizeUm.x * roi.x, yUm: stage.yUm + pixelSizeUm.y * roi.y }
}

type DimensionCounts = Record<'C' | 'Z' | 'T', number>

/** Sizes that the metadata leaves open are 1 for channels and z-planes, and what the frames fill for T, the running count. */
function countDimensions({ sizes }: FrameDimensions, frameCount: number, url: string): DimensionCounts {
  const C = sizes.C ?? 1
  const Z = sizes.Z ?? 1
  if (C > MAX_DIMENSION || Z > MAX_DIMENSION) {
    throw new LimitExceededError(`${url} has SizeC ${C} and SizeZ ${Z}; up to ${MAX_DIMENSION} of each are read.`, {
      url,
    })
  }
  return { C, Z, T: sizes.T ?? Math.ceil(frameCount / (C * Z)) }
}

function locateFrame(index: number, order: string, counts: DimensionCounts): { channel: number; zPlane: number } {
  const at: DimensionCounts = { C: 0, Z: 0, T: 0 }
  let rest = index
  for (const letter of order as Iterable<'C' | 'Z' | 'T'>) {
    at[letter] = rest % counts[letter]
    rest = Math.floor(rest / counts[letter])
  }
  return { channel: at.C, zPlane: at.Z }
}

function countProblems({ C, Z, T }: FrameDimensions['sizes'], found: number): string[] {
  if (C === undefined || Z === undefined || T === undefined || C * Z * T === found) return []
  return [`The metadata announces ${C * Z * T} frames (SizeC ${C} × SizeZ ${Z} × SizeT ${T}), and ${found} are there.`]
}
