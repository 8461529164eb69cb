import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type ErrorBody, STATUS_OF } from '../http/error-replies.js'

/** For fastify's options: a client that takes longer than this has gone, or means ill. */
export const TIMES = {
  /** To send a whole request, ms. */
  requestTimeout: 30_000,
  /** Without a byte in either direction, ms. Streams of events beat every 2 s; a detector may think for a while. */
  connectionTimeout: 120_000,
  http: { headersTimeout: 10_000, connectionsCheckingInterval: 2000, maxHeaderSize: 16 * 1024 },
} as const

const MAX_CONNECTIONS = 4096

/**
 * Requests of one connection that wait behind another one. Browsers send none; who sends more than a few, and perhaps
 * never reads an answer, would have them all in memory.
 */
const MAX_WAITING = 100

/** Bound what connections cost, whatever a client does with them. */
export function limitConnections(app: FastifyInstance): void {
  app.server.maxConnections = MAX_CONNECTIONS
  const waitingOf = new WeakMap<Socket, Set<ServerResponse>>()
  app.addHook('onRequest', ({ raw: { socket } }, reply, done) => {
    // An answer gets the socket when it is its turn, and nearly always that is at once.
    if (reply.raw.socket !== null) return done()
    const waiting = waitingOf.get(socket) ?? watchWaiting(socket)
    waitingOf.set(socket, waiting)
    if (socket.destroyed || waiting.size >= MAX_WAITING) {
      socket.destroy()
      reply.hijack()
      return
    }
    waiting.add(reply.raw)
    reply.raw.once('socket', () => waiting.delete(reply.raw))
    done()
  })
}

/** Those who work for an answer hear when nobody is there to read it; Node tells only the one whose turn it is. */
function watchWaiting(socket: Socket): Set<ServerResponse> {
  const waiting = new Set<ServerResponse>()
  socket.once('close', () => {
    for (const response of waiting) response.destroy().emit('close')
    waiting.clear()
  })
  return waiting
}

/** Answer what is no HTTP, or came too slowly; nothing of it reaches a route. */
export function refuseConnection(
  error: NodeJS.ErrnoException,
  socket: Socket & { readonly _httpMessage?: ServerResponse | null },
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const body = describeClientError(error.code)
  const status = STATUS_OF[body.code]
  const text = JSON.stringify(body)
  // Node's own name for the answer that is on its way: behind half of it, this one would be taken for the other half.
  const { _httpMessage: answer } = socket
  const isHalfSent = answer?.headersSent === true && !answer.writableEnded
  if (socket.writable && !isHalfSent) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\n` +
        `cache-control: no-store\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
    )
  }
  socket.destroySoon()
}

function describeClientError(code: string | undefined): ErrorBody {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'REQUEST_TIMEOUT', message: 'The request took too long to arrive.' }
    case 'HPE_HEADER_OVERFLOW':
      return {
        code: 'HEADERS_TOO_LARGE',
        message: `The address and headers are longer than ${TIMES.http.maxHeaderSize} bytes.`,
      }
    default:
      return { code: 'BAD_REQUEST', message: 'The request is no HTTP.' }
  }
}
