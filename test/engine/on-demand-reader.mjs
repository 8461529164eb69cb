// Frames that are made when they are asked for, in whichever thread: a module as `FrameSource.reader` names one.
import { setTimeout } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'

const NOISE_SAMPLES = 5 * 2 ** 20
let noise

/** The same numbers in every thread: around 120 counts, with a tail to 4,000. */
function makeNoise() {
  const samples = new Uint16Array(NOISE_SAMPLES)
  let state = 12345
  for (let i = 0; i < samples.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    samples[i] = 100 + ((state >>> 16) % 41) + (state % 997 === 0 ? (state >>> 20) % 3900 : 0)
  }
  return samples
}

/**
 * @param data `{ width, height, slowMs, broken, deadly }`: every frame takes `slowMs`; frames in `broken` cannot be read, those in
 *   `deadly` end the thread that reads them, those in `greedy` fill its memory.
 */
export function openFrameReader({ width, height, slowMs = 0, broken = [], deadly = [], greedy = [] }) {
  return {
    async readFrame(index, { into } = {}) {
      if (slowMs > 0) await setTimeout(slowMs)
      if (broken.includes(index)) throw await corrupt(`frame ${index} is damaged.`)
      if (deadly.includes(index) && parentPort) process.exit(7)
      if (greedy.includes(index) && parentPort) fillMemory()
      noise ??= makeNoise()
      const start = (index * 9973) % (NOISE_SAMPLES - width * height)
      const samples = into
        ? new Uint16Array(into.buffer, into.byteOffset, width * height)
        : new Uint16Array(width * height)
      samples.set(noise.subarray(start, start + width * height))
      samples[0] = index % 65536
      return { width, height, sampleType: 'uint16', samples }
    },
  }
}

function fillMemory() {
  const kept = []
  for (;;) kept.push(new Array(1e6).fill(kept.length))
}

/** The class that the thread itself uses, so that it is known as damage. */
async function corrupt(message) {
  const { CorruptDataError } = await import(new URL('../../dist/errors.js', import.meta.url).href)
  return new CorruptDataError(message)
}
