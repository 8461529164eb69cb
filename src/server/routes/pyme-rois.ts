import type { FastifyInstance, FastifyReply, RouteShorthandOptions } from 'fastify'
import { UsageError } from '../../errors.js'
import type { AccessPolicy } from '../access/access-policy.js'
import { requireRight } from '../access/require-right.js'
import type { DetectionQueue } from '../detections/detection-queue.js'
import { type DetectorConfig, listDetectors, readDetection } from '../detections/detection-request.js'
import { RECIPE_DETECTOR } from '../detections/detector-command.js'
import { clientSignal } from '../http/client-signal.js'
import { type HiddenPath, sendError } from '../http/error-replies.js'
import { type Parameters, readNumber, readText, requireNumber, requireText } from '../http/parameters.js'
import { readFields } from '../http/request-fields.js'
import { RequestRefusal } from '../http/request-refusal.js'
import { resolveInRoots } from '../http/tile-dir.js'
import { documented, type ParameterDocs } from '../openapi/route-doc.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import { formatPymeLocations, formatPymeTable } from '../rois/pyme-roi-text.js'
import { formatOfName, readRoiFile } from '../rois/read-roi-file.js'
import type { Roi } from '../rois/roi.js'
import { addRois, type RoiList, replaceRois, toggleRoi } from '../rois/roi-list.js'
import type { RoiStore } from '../rois/roi-store.js'

/** How near a click must be to an ROI to hit it, µm; PYME's own default. */
const HIT_RADIUS_UM = 10

/** The level that PYME's recipes are run on, where there are so many. */
const RECIPE_LEVEL = 2

const LARGEST_UM = 1e9
const POSITION = { min: -LARGEST_UM, max: LARGEST_UM }

const XY: ParameterDocs = {
  x: { type: 'number', description: 'Stage µm.', required: true },
  y: { type: 'number', description: 'Stage µm.', required: true },
}

const LIST_SEEN = { 303: 'To `roi_list`.' }

interface PymeRoute {
  readonly Querystring: Parameters
  readonly Body: unknown
}

/**
 * ROIs as PYME's viewer and acquisition program ask for them: those of the current pyramid, GET or POST, fields in the
 * query or a form.
 */
export function registerPymeRoiRoutes(
  app: FastifyInstance,
  registry: PyramidRegistry,
  rois: RoiStore,
  queue: DetectionQueue,
  policy: AccessPolicy,
  config: DetectorConfig,
): void {
  /** The ROIs that everybody looks at; none where no pyramid is. */
  async function currentRois(): Promise<readonly Roi[]> {
    const { current } = registry.state
    return current ? (await rois.read(current.id)).rois : []
  }

  function answer(url: string, options: RouteShorthandOptions, text: (shown: readonly Roi[]) => string): void {
    app.route<PymeRoute>({
      method: ['GET', 'POST'],
      url,
      ...options,
      handler: async (_request, reply) => {
        reply.headers({ 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' })
        return text(await currentRois())
      },
    })
  }

  /**
   * A request that changes the list, and leads to it.
   *
   * @param apply adds to `hidden` what messages are not to tell.
   */
  function change(
    url: string,
    options: RouteShorthandOptions,
    apply: (fields: Parameters, hidden: HiddenPath[], reply: FastifyReply) => Promise<unknown>,
  ): void {
    app.route<PymeRoute>({
      method: ['GET', 'POST'],
      url,
      // A HEAD is a question, and this URL is an order.
      exposeHeadRoute: false,
      ...options,
      handler: async (request, reply) => {
        const fields = readFields(request)
        requireRight(request, fields, policy)
        const hidden: HiddenPath[] = registry.list().map(({ pyramid }) => pyramid)
        try {
          await apply(fields, hidden, reply)
        } catch (error) {
          if (reply.raw.destroyed) throw error
          return sendError(error, request, reply, hidden)
        }
        reply.code(303)
        reply.headers({
          location: 'roi_list',
          'cache-control': 'no-store',
          'content-type': 'text/html; charset=utf-8',
        })
        return '<!doctype html><title>tilestage</title><a href="roi_list">The list shows it now.</a>'
      },
    })
  }

  function edit(apply: (list: RoiList) => RoiList): Promise<RoiList> {
    return registry.use(undefined, ({ pyramid }) => rois.change(pyramid.id, apply))
  }

  answer(
    '/get_roi_locations',
    documented({
      group: 'ROIs',
      summary: "Centres of the current pyramid's ROIs, as PYME asks for them",
      // PYME's program parses it whatever it is called, and has seen this type since there is a tile viewer.
      answers: { 200: { description: 'JSON of `[[x, y], …]`, stage µm.', types: ['text/html'] } },
    }),
    formatPymeLocations,
  )

  answer(
    '/roi_list',
    documented({
      group: 'ROIs',
      summary: "The current pyramid's ROIs as a piece of a page",
      answers: { 200: { description: 'A table of index, x and y.', types: ['text/html'] } },
    }),
    formatPymeTable,
  )

  change(
    '/add_roi',
    documented({
      group: 'ROIs',
      summary: 'Add a point to the current pyramid',
      body: { fields: XY },
      answers: LIST_SEEN,
      cost: 'change',
    }),
    fields => {
      const [x, y] = readPosition(fields)
      return edit(list => addRois(list, [{ x, y }]))
    },
  )

  change(
    '/toggle_roi',
    documented({
      group: 'ROIs',
      summary: 'Remove the nearest ROI of the current pyramid, or add a point',
      body: {
        fields: {
          ...XY,
          hit_radius: { type: 'number', description: 'How near it must be, µm.', fallback: HIT_RADIUS_UM },
        },
      },
      answers: LIST_SEEN,
      cost: 'change',
    }),
    fields => {
      const [x, y] = readPosition(fields)
      const radius = readNumber(fields, 'hit_radius', { min: 0, max: LARGEST_UM }) ?? HIT_RADIUS_UM
      return edit(list => toggleRoi(list, x, y, radius))
    },
  )

  change(
    '/clear_rois',
    documented({
      group: 'ROIs',
      summary: 'Remove all ROIs of the current pyramid',
      answers: LIST_SEEN,
      cost: 'change',
    }),
    () => edit(list => (list.rois.length === 0 ? list : replaceRois(list, []))),
  )

  change(
    '/set_roi_locations',
    documented({
      group: 'ROIs',
      summary: "Replace the current pyramid's ROIs by those of a file on the server",
      body: {
        fields: {
          locations_file: { type: 'string', description: 'Path of an HDF5, CSV or JSON file.', required: true },
          tablename: { type: 'string', description: 'Table of an HDF5 file.', fallback: 'roi_locations' },
        },
      },
      answers: LIST_SEEN,
      cost: 'change',
    }),
    async (fields, hidden) => {
      const named = requireText(fields, 'locations_file')
      const table = readText(fields, 'tablename')
      const format = formatOfName(named)
      const path = await resolveInRoots(named, config.roots, 'locations_file')
      hidden.push({ path, name: named })
      const shapes = await readRoiFile(path, format, table)
      await edit(list => replaceRois(list, shapes))
    },
  )

  change(
    '/run_recipe_for_locations',
    documented({
      group: 'Detections',
      summary: 'Run a detector on the current pyramid and replace its ROIs by what it finds',
      description: 'Answered when it is done. PYME recipes need a configured command (`--detector`).',
      body: {
        fields: {
          recipe_path: {
            type: 'string',
            description: 'A detector, or the path of a recipe for the configured command.',
            required: true,
          },
          tile_level: { type: 'integer', description: 'Pyramid level.', min: 0, fallback: RECIPE_LEVEL },
        },
      },
      answers: LIST_SEEN,
      cost: 'change',
    }),
    async (fields, _hidden, reply) => {
      const chosen = chooseDetector(requireText(fields, 'recipe_path'), config)
      const job = await registry.use(undefined, ({ pyramid }) => {
        const coarsest = pyramid.geometry.levelCount - 1
        const level = readText(fields, 'tile_level') ?? String(Math.min(RECIPE_LEVEL, coarsest))
        return readDetection({ ...chosen, level, replace: '1' }, pyramid, config)
      })
      // Nothing is sent until it is done; a connection that is silent for long is cut off unless somebody listens.
      reply.raw.on('timeout', () => undefined)
      await queue.finish(queue.add(job), clientSignal(reply))
    },
  )
}

function readPosition(fields: Parameters): [x: number, y: number] {
  return [requireNumber(fields, 'x', POSITION), requireNumber(fields, 'y', POSITION)]
}

/** A name stands for itself; anything else is the path of a recipe, for the command that takes recipes. */
function chooseDetector(recipePath: string, { commands }: DetectorConfig): Parameters {
  if (listDetectors(commands).includes(recipePath)) return { detector: recipePath }
  const command = commands.find(({ name }) => name === RECIPE_DETECTOR) ?? commands[0]
  if (command === undefined) {
    throw new RequestRefusal(
      'NOT_CONFIGURED',
      "No program for recipes is configured; start the server with --detector 'PROGRAM {pyramid} {level} {recipe} {output}', or name threshold or log.",
    )
  }
  if (commands.length > 1 && command.name !== RECIPE_DETECTOR) {
    throw new UsageError(`The recipe may be for any of ${commands.map(({ name }) => name).join(', ')}; name one.`)
  }
  return { detector: command.name, recipe: recipePath }
}
