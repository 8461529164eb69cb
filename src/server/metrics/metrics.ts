import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type { RouteGroup } from '../openapi/route-doc.js'

/** Of requests that no documented route answers. */
const OTHER = 'Other'

/** Answers are counted by the first digit of their status. */
const STATUS_CLASSES = 6

/** A number that is asked when the figures are read. */
interface Figure {
  /** A gauge goes up and down, a counter only grows. */
  readonly kind: 'gauge' | 'counter'
  readonly name: string
  readonly help: string
  readonly read: () => number
}

/**
 * Figures for Prometheus. While requests are answered, numbers in plain arrays are raised and nothing else; all the rest
 * is asked when somebody reads the figures.
 */
export class Metrics {
  readonly #figures: Figure[] = []
  readonly #answers = new Map<string, Uint32Array>()
  #registry: Promise<Registry> | undefined

  /** Count what the routes that are registered from now on answer. Event streams are no answers that end. */
  countAnswers(app: FastifyInstance): void {
    app.addHook('onRoute', route => {
      const counts = this.#countsOf(route.config?.doc?.group ?? OTHER)
      route.onSend = [route.onSend ?? []].flat()
      route.onSend.push((_request, reply, payload, done) => {
        counts[Math.floor(reply.statusCode / 100)]++
        done(null, payload)
      })
    })
  }

  /** Count an answer that no route gave. */
  countOther(status: number): void {
    this.#countsOf(OTHER)[Math.floor(status / 100)]++
  }

  /** A number that goes up and down, asked when the figures are read. */
  gauge(name: string, help: string, read: () => number): void {
    this.#figures.push({ kind: 'gauge', name, help, read })
  }

  /** A number that only grows, asked when the figures are read. */
  counter(name: string, help: string, read: () => number): void {
    this.#figures.push({ kind: 'counter', name, help, read })
  }

  /** All figures in Prometheus' text format. Those of the process and its event loop begin with the first call. */
  async read(): Promise<{ readonly type: string; readonly text: string }> {
    this.#registry ??= this.#register()
    const registry = await this.#registry
    return { type: registry.contentType, text: await registry.metrics() }
  }

  /** Most servers are never asked for their figures, so the library is loaded when one is. */
  async #register(): Promise<Registry> {
    const { Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client')
    const registry = new Registry()
    const registers = [registry]
    const answers = this.#answers
    new Counter({
      name: 'tilestage_requests_total',
      help: 'Answers by group of routes (see /docs) and class of status.',
      labelNames: ['group', 'status'] as const,
      registers,
      collect() {
        this.reset()
        for (const [group, counts] of answers)
          counts.forEach((count, digit) => {
            if (count > 0) this.inc({ group, status: `${digit}xx` }, count)
          })
      },
    })
    for (const { kind, name, help, read } of this.#figures) {
      const told = { name, help, registers }
      if (kind === 'gauge')
        new Gauge({
          ...told,
          collect() {
            this.set(read())
          },
        })
      else
        new Counter({
          ...told,
          collect() {
            this.reset()
            this.inc(read())
          },
        })
    }
    collectDefaultMetrics({ register: registry })
    return registry
  }

  #countsOf(group: RouteGroup | typeof OTHER): Uint32Array {
    const counts = this.#answers.get(group) ?? new Uint32Array(STATUS_CLASSES)
    this.#answers.set(group, counts)
    return counts
  }
}
