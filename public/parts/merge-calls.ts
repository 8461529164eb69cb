/**
 * Merge bursts of calls.
 *
 * @param run done at the first call of a burst, then at most every `everyMs`, and never twice at the same time.
 * @returns the call: what comes while `run` is busy or at rest is done once afterwards.
 */
export function mergeCalls(run: () => Promise<void>, everyMs: number): () => void {
  let resting = false
  let called = false
  const start = async (): Promise<void> => {
    resting = true
    called = false
    const endsAt = performance.now() + everyMs
    try {
      await run()
    } finally {
      setTimeout(
        () => {
          resting = false
          if (called) void start()
        },
        Math.max(0, endsAt - performance.now()),
      )
    }
  }
  return () => {
    if (resting) called = true
    else void start()
  }
}
