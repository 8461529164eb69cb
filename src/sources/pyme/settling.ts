/** The newest frame is whole, and a series with all its files complete, when they have not changed for so long. */
export const WHOLE_AFTER_MS = 100
/** A frame behind the last known move waits so long for one of its own; then it lies where the stage stood last. */
export const PLACED_AFTER_MS = 500
/** A series whose writer does not say that it ended is complete when nothing of it has changed for so long. */
export const COMPLETE_AFTER_MS = 5000
/** A series that was last written to longer ago than this when it is opened is not being written any more. */
export const OLD_MS = 60_000
/** What failed is tried again so often even where nothing seems to change: coarse clocks hide quick changes. */
export const TRY_AGAIN_MS = 1000
