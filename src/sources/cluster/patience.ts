/** How long the data servers of a cluster are waited for, and how often they are asked. Plain data, for worker threads. */
export interface Patience {
  /** For servers that announce themselves: at most so long, and so long after the last one. */
  readonly discoverMs: number
  readonly discoverQuietMs: number
  /** For a connection. */
  readonly connectMs: number
  /** For the head of an answer. */
  readonly headersMs: number
  /** For the next bytes of a body. */
  readonly stallMs: number
  /** For all of an answer, however busily its bytes trickle. */
  readonly wholeMs: number
  /** Rounds in which all servers that may have a file are asked for it. */
  readonly rounds: number
  /** Before the second round; twice as long before each further one. Up to half of it is left to chance. */
  readonly backoffMs: number
  /** Between two listings of a series that is followed. */
  readonly listMs: number
  /** Between two looks for series that a glob may yet lead to. */
  readonly searchMs: number
}

export const PATIENCE: Patience = {
  discoverMs: 5000,
  discoverQuietMs: 1000,
  connectMs: 3000,
  headersMs: 10_000,
  stallMs: 10_000,
  wholeMs: 120_000,
  rounds: 5,
  backoffMs: 250,
  listMs: 1000,
  searchMs: 2000,
}
