import type { ReadMemory } from '../../pyramid/read-memory.js'
import type { RenderCrew } from '../../render/render-crew.js'
import type { BuildQueue } from '../builds/build-queue.js'
import type { DetectionQueue } from '../detections/detection-queue.js'
import type { EventStream } from '../events/event-stream.js'
import type { PyramidRegistry } from '../pyramids/registry.js'
import type { Drawing } from '../tiles/drawing.js'
import type { Metrics } from './metrics.js'

/** What figures are taken from. */
export interface MeasuredParts {
  readonly registry: PyramidRegistry
  readonly events: EventStream
  readonly memory: ReadMemory
  readonly drawing: Drawing
  readonly cropCrew: RenderCrew
  readonly builds: BuildQueue | undefined
  readonly detections: DetectionQueue
}

/** Name every figure of the server's own parts; each is asked when the figures are read. */
export function measure(metrics: Metrics, parts: MeasuredParts): void {
  const { registry, events, memory, drawing, cropCrew, builds, detections } = parts
  const { store, shards } = memory
  const sum = (read: (crew: RenderCrew) => number): number => read(drawing.crew) + read(cropCrew)

  metrics.gauge('tilestage_pyramids_open', 'Pyramids that are open.', () => registry.list().length)
  metrics.gauge('tilestage_shards_open', 'Shards whose files are open.', () => shards.size)
  metrics.gauge('tilestage_event_listeners', 'Pages that listen to events.', () => events.listenerCount)

  metrics.gauge('tilestage_cache_bytes', 'Memory of what is kept: encoded and decoded tiles.', () => store.bytes)
  metrics.gauge('tilestage_cache_entries', 'How much is kept.', () => store.size)
  metrics.counter('tilestage_cache_hits_total', 'Times that what was asked for was kept.', () => store.hits)
  metrics.counter('tilestage_cache_misses_total', 'Times that it was not.', () => store.misses)

  metrics.gauge(
    'tilestage_tiles_pending',
    'Tiles and small crops that are being made, or wait for it.',
    () => drawing.cache.pending,
  )
  metrics.gauge('tilestage_reads_pending', 'Tiles that are being read, or wait for it.', () => drawing.tiles.pending)
  metrics.gauge('tilestage_pictures_waiting', 'Pictures that wait for a thread.', () => sum(crew => crew.waiting))
  metrics.gauge('tilestage_pictures_drawing', 'Pictures that are being drawn.', () => sum(crew => crew.drawing))
  metrics.counter('tilestage_pictures_total', 'Pictures that were drawn.', () => sum(crew => crew.drawn))
  metrics.counter('tilestage_picture_seconds_total', 'Seconds that threads drew.', () => sum(crew => crew.seconds))

  metrics.gauge(
    'tilestage_builds_pending',
    'Builds that run or wait.',
    () => builds?.list().filter(({ isOver }) => !isOver).length ?? 0,
  )
  metrics.gauge('tilestage_detections_pending', 'Detections that run or wait.', () => detections.pending)
}
