import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { RouteGroup } from '../openapi/route-doc.js'

/** Of requests that no documented route answers. */
const OTHER = 'Other'

/** Answers are counted by the first digit of their status. */
const STATUS_CLASSES = 6

/**
 * Figures for Prometheus. While requests are answered, numbers in plain arrays are raised and nothing else; all the rest
 * is asked when somebody reads the figures.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #answers = new Map<string, Uint32Array>()
  #isMeasuring = false

  constructor() {
    const requests: Counter<'group' | 'status'> = new Counter({
      name: 'tilestage_requests_total',
      help: 'Answers by group of routes (see /docs) and class of status.',
      labelNames: ['group', 'status'] as const,
      registers: [this.#registry],
      collect: () => {
        requests.reset()
        for (const [group, counts] of this.#answers)
          counts.forEach((count, digit) => {
            if (count > 0) requests.inc({ group, status: `${digit}xx` }, count)
          })
      },
    })
  }

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
    const gauge: Gauge = new Gauge({ name, help, registers: [this.#registry], collect: () => gauge.set(read()) })
  }

  /** A number that only grows, asked when the figures are read. */
  counter(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.#registry],
      collect: () => {
        counter.reset()
        counter.inc(read())
      },
    })
  }

  /** All figures in Prometheus' text format. Those of the process and its event loop begin with the first call. */
  async read(): Promise<{ readonly type: string; readonly text: string }> {
    if (!this.#isMeasuring) collectDefaultMetrics({ register: this.#registry })
    this.#isMeasuring = true
    return { type: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  #countsOf(group: RouteGroup | typeof OTHER): Uint32Array {
    const counts = this.#answers.get(group) ?? new Uint32Array(STATUS_CLASSES)
    this.#answers.set(group, counts)
    return counts
  }
}
