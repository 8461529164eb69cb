import { detectInThread } from '../../detect/detect-in-thread.js'
import { BUILT_IN_DETECTORS, type BuiltInDetector, type DetectionSettings } from '../../detect/detection.js'
import { DIAMETERS_PX } from '../../detect/spot-finder.js'
import { NotFoundError, UsageError } from '../../errors.js'
import { intersect, type Rect } from '../../plane.js'
import { levelSize } from '../../pyramid/mosaic-geometry.js'
import type { Pyramid } from '../../pyramid/pyramid.js'
import {
  type Parameters,
  quote,
  readFlag,
  readIndex,
  readNumber,
  readSelection,
  readText,
  requireText,
} from '../http/parameters.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { resolveInRoots } from '../http/tile-dir.js'
import type { RoiShape } from '../rois/roi.js'
import type { DetectionJob } from './detection-queue.js'
import { type DetectorCommand, needsRecipe } from './detector-command.js'
import { runDetectorCommand } from './run-detector-command.js'

/** Diameters that are looked for where nothing is said, px of the level. */
const DEFAULT_SIZE_PX = { threshold: { min: 2, max: Infinity }, log: { min: 4, max: 16 } }

const LARGEST_UM = 1e9

/** What detections of this server may use. */
export interface DetectorConfig {
  readonly commands: readonly DetectorCommand[]
  /** Real paths of the folders that recipes lie in; with none, they may lie anywhere. */
  readonly roots: readonly string[]
}

/**
 * The detection that parameters ask for.
 *
 * @throws {UsageError} a parameter makes no sense. @throws {NotFoundError} no such level, plane or recipe, or a box
 *   beside the pyramid. @throws {RequestRefusal} a detector that nobody configured, or a recipe outside of the roots.
 */
export async function readDetection(
  parameters: Parameters,
  pyramid: Pyramid,
  { commands, roots }: DetectorConfig,
): Promise<DetectionJob> {
  const detector = requireText(parameters, 'detector')
  const level = readIndex(parameters, 'level', pyramid.geometry.levelCount)
  const common = {
    pyramid: pyramid.id,
    detector,
    level,
    addsRois: readFlag(parameters, 'addRois') ?? true,
    replaces: readFlag(parameters, 'replace') ?? false,
  }
  const hidden = [{ path: pyramid.path, name: pyramid.name }]
  if (isBuiltIn(detector)) {
    const settings = readSettings(parameters, pyramid, detector, level)
    const task = { path: pyramid.path, geometry: pyramid.geometry, settings }
    return {
      ...common,
      hidden,
      run: async (report, signal) => {
        const { locationsUm, threshold } = await detectInThread(task, report, signal)
        report({ threshold })
        return toShapes(locationsUm, detector)
      },
    }
  }
  const command = findCommand(detector, commands)
  const recipe = readText(parameters, 'recipe')
  if (recipe === undefined && needsRecipe(command)) {
    throw new UsageError(`The detector ${detector} needs the path of a recipe; the parameter recipe is missing.`)
  }
  const recipePath = recipe === undefined ? undefined : await resolveInRoots(recipe, roots, 'recipe')
  const input = { pyramid: pyramid.path, level, recipe: recipePath }
  const unsaid = recipe && recipePath ? [...hidden, { path: recipePath, name: recipe }] : hidden
  return {
    ...common,
    hidden: unsaid,
    run: async (_report, signal) => {
      const shapes = await runDetectorCommand(command, input, unsaid, signal)
      return shapes.map(shape => ({ name: detector, ...shape }))
    },
  }
}

/** The names of all detectors there are. */
export function listDetectors(commands: readonly DetectorCommand[]): string[] {
  return [...BUILT_IN_DETECTORS, ...commands.map(({ name }) => name)]
}

function isBuiltIn(name: string): name is BuiltInDetector {
  return (BUILT_IN_DETECTORS as readonly string[]).includes(name)
}

function findCommand(name: string, commands: readonly DetectorCommand[]): DetectorCommand {
  const command = commands.find(candidate => candidate.name === name)
  if (command) return command
  throw new RequestRefusal(
    'NOT_CONFIGURED',
    `This server has no detector ${quote(name)}; there are ${listDetectors(commands).join(', ')}, and --detector NAME=COMMAND gives it another.`,
  )
}

function readSettings(
  parameters: Parameters,
  pyramid: Pyramid,
  detector: BuiltInDetector,
  level: number,
): DetectionSettings {
  const pixelUm = [pyramid.geometry.pixelSizeUm.x * 2 ** level, pyramid.geometry.pixelSizeUm.y * 2 ** level]
  const sizeUm = readSize(parameters, detector, Math.max(...pixelUm))
  if (detector === 'log') expectPossible(sizeUm, pixelUm, level)
  return {
    detector,
    selection: readSelection(parameters, pyramid),
    level,
    region: readBox(parameters, pyramid, level),
    threshold: readNumber(parameters, 'threshold'),
    sizeUm,
  }
}

function readSize(
  parameters: Parameters,
  detector: BuiltInDetector,
  pixelUm: number,
): { readonly min: number; readonly max: number } {
  const numbers = readNumbers(parameters, 'sizeUm')
  const { min: least, max: most } = DEFAULT_SIZE_PX[detector]
  if (numbers === undefined) return { min: least * pixelUm, max: most * pixelUm }
  const [min, max] = numbers
  if (numbers.length === 2 && min > 0 && max >= min) return { min, max }
  throw new UsageError(`The parameter sizeUm is ${numbers.join(',')}; it is the smallest and the largest diameter, µm.`)
}

/** Spots are looked for at levels where their sizes make sense. */
function expectPossible(
  { min, max }: { readonly min: number; readonly max: number },
  pixelUm: readonly number[],
  level: number,
): void {
  const least = DIAMETERS_PX.least * Math.max(...pixelUm)
  const most = DIAMETERS_PX.most * Math.min(...pixelUm)
  // Defaults lie on the limits but for rounding.
  if (min >= least * (1 - 1e-9) && max <= most * (1 + 1e-9)) return
  const [found, possible] = [`sizeUm is ${min},${max}`, `${least.toPrecision(4)} to ${most.toPrecision(4)} µm`]
  throw new UsageError(`The parameter ${found}; at level ${level}, diameters from ${possible} can be looked for.`)
}

/** The pixels of a level that a box in stage µm touches; all of them where none is given. */
function readBox(parameters: Parameters, { geometry }: Pyramid, level: number): Rect {
  const size = levelSize(geometry, level)
  const whole = { x0: 0, y0: 0, x1: size.width, y1: size.height }
  const box = readNumbers(parameters, 'box')
  if (box === undefined) return whole
  const [x, y, w, h] = box
  if (box.length !== 4 || !(w > 0 && h > 0)) {
    throw new UsageError(`The parameter box is ${box.join(',')}; it is x,y,w,h of a rectangle, µm.`)
  }
  const { originUm, pixelSizeUm } = geometry
  const column = (um: number): number => ((um - originUm.x) / pixelSizeUm.x + 0.5) / 2 ** level
  const row = (um: number): number => ((um - originUm.y) / pixelSizeUm.y + 0.5) / 2 ** level
  const touched = {
    x0: Math.floor(column(x)),
    y0: Math.floor(row(y)),
    x1: Math.ceil(column(x + w)),
    y1: Math.ceil(row(y + h)),
  }
  const region = intersect(whole, touched)
  if (region.x0 < region.x1 && region.y0 < region.y1) return region
  throw new NotFoundError(`The box ${box.join(',')} lies beside the pyramid.`)
}

function readNumbers(parameters: Parameters, name: string): number[] | undefined {
  const text = readText(parameters, name)
  if (text === undefined) return undefined
  return text.split(',').map(part => {
    const limits = { min: -LARGEST_UM, max: LARGEST_UM }
    return readNumber({ [name]: part.trim() }, name, limits) ?? Number.NaN
  })
}

function toShapes(locationsUm: Float64Array, name: string): RoiShape[] {
  return Array.from({ length: locationsUm.length / 2 }, (_, i) => ({
    x: locationsUm[2 * i],
    y: locationsUm[2 * i + 1],
    name,
  }))
}
