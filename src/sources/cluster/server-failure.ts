import { type DataServer, nameOfServer } from './data-server.js'

/** Failures that a message tells one by one. */
const TOLD = 4

/**
 * Why one server did not give what it was asked for.
 *
 * `absent`: it has no such file. `passing`: asking again may help. `lasting`: it does not. `too-long`: there are more
 * bytes than are wanted.
 */
export class ServerFailure extends Error {
  override readonly name = 'ServerFailure'

  /** @param reason goes on after the name of the server: "did not answer within 5 s". */
  constructor(
    readonly kind: 'absent' | 'passing' | 'lasting' | 'too-long',
    readonly server: DataServer,
    readonly reason: string,
    cause?: unknown,
  ) {
    super(reason, { cause })
  }
}

/** "10.0.0.7:15348 refuses connections, 10.0.0.8:15348 answered 500", for the end of a sentence. */
export function describeFailures(failures: readonly ServerFailure[]): string {
  const reasons = failures.slice(0, TOLD).map(({ server, reason }) => `${nameOfServer(server)} ${reason}`)
  if (failures.length > TOLD) reasons.push(`${failures.length - TOLD} more servers failed`)
  return reasons.join(', ')
}

/** Servers that do not answer while others do: a sentence each. */
export function warnOfFailures(failures: readonly ServerFailure[]): string[] {
  return failures.map(
    ({ server, reason }) => `The data server ${nameOfServer(server)} ${reason}; what only it has is missing.`,
  )
}
