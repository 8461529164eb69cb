import { truncate } from 'node:fs/promises'
import type { Test } from 'tap'
import { allocateSamples, bytesOfSamples, type Plane, samplesFromBytes } from '../../src/plane.js'
import type { FrameReader, FrameReaderDescription, FrameSource } from '../../src/sources/frame-source.js'
import { decodeHuffman } from '../../src/sources/pyme/huffman.js'
import { arrangeSamples } from '../../src/sources/pyme/pzf.js'

export interface ContractSubject {
  /** Opens a series of at least two frames that the suite may damage; each call gives a fresh copy. */
  readonly open: () => Promise<FrameSource>
  /** The file that holds a frame of an opened source, to be cut short. */
  readonly fileOf: (source: FrameSource, index: number) => string
}

/** What every reader must do, whatever its format. */
export function checkFrameSource(t: Test, format: string, { open, fileOf }: ContractSubject): void {
  t.test(`${format}: every frame has the size and type of its series, and reads the same twice`, async t => {
    const source = await open()
    const { frames, frameSize, sampleType } = source.series
    const odd: number[] = []
    for (const { index } of frames) {
      const plane = await source.readFrame(index)
      const again = await source.readFrame(index)
      const sameShape =
        plane.width === frameSize.width && plane.height === frameSize.height && plane.sampleType === sampleType
      const whole = plane.samples.length === frameSize.width * frameSize.height
      if (!sameShape || !whole || !sameSamples(plane, again)) odd.push(index)
    }
    t.same(odd, [])
    await source.close()
  })

  t.test(`${format}: frames are in order of their numbers and lie at finite positions`, async t => {
    const source = await open()
    const { frames, pixelSizeUm, cameraRoi } = source.series
    t.ok(frames.length > 1)
    t.same(
      frames.map(frame => frame.index),
      frames.map(frame => frame.index).sort((a, b) => a - b),
    )
    for (const { index, position, stagePosition, channel, zPlane, timePoint } of frames) {
      t.ok(Number.isFinite(position.xUm) && Number.isFinite(position.yUm), `frame ${index} lies somewhere`)
      t.ok(channel >= 0 && channel < source.series.channels.length && zPlane >= 0 && zPlane < source.series.zPlanes)
      t.ok(timePoint >= 0)
      if (pixelSizeUm === undefined) continue
      t.equal(position.xUm, stagePosition.xUm + pixelSizeUm.x * cameraRoi.x)
      t.equal(position.yUm, stagePosition.yUm + pixelSizeUm.y * cameraRoi.y)
    }
    await source.close()
  })

  t.test(`${format}: the last frame reads, and numbers that are no frame are a RangeError`, async t => {
    const source = await open()
    const last = source.series.frames.at(-1)!.index
    await t.resolves(source.readFrame(last))
    for (const index of [last + 1, -1, 0.5, Number.NaN]) await t.rejects(source.readFrame(index), RangeError)
    await source.close()
  })

  t.test(`${format}: a frame cut short after the series was opened is an error that names its file`, async t => {
    const source = await open()
    const { index } = source.series.frames[1]!
    const file = fileOf(source, index)
    for (const length of [1000, 64, 10, 0]) {
      await truncate(file, length)
      const error = await source.readFrame(index).then(
        () => undefined,
        error => error,
      )
      t.match(error, { name: 'CorruptDataError' }, `${length} bytes`)
      t.ok(error.message.includes(file), error.message)
    }
    await t.resolves(source.readFrame(source.series.frames[0]!.index), 'the other frames still read')
    await source.close()
  })

  t.test(`${format}: a read that is aborted ends with the reason of the abort`, async t => {
    const source = await open()
    const { index } = source.series.frames[0]!
    const reason = new Error('looked elsewhere')
    await t.rejects(source.readFrame(index, { signal: AbortSignal.abort(reason) }), reason)
    const controller = new AbortController()
    const reading = source.readFrame(index, { signal: controller.signal })
    controller.abort(reason)
    await t.rejects(reading, reason)
    await t.resolves(source.readFrame(index, { signal: new AbortController().signal }))
    await source.close()
  })

  t.test(`${format}: many frames read at once are the same as one after the other`, async t => {
    const source = await open()
    const indices = source.series.frames.map(frame => frame.index)
    const together = await Promise.all(indices.map(index => source.readFrame(index)))
    const different: number[] = []
    for (const [i, index] of indices.entries()) {
      if (!sameSamples(await source.readFrame(index), together[i]!)) different.push(index)
    }
    t.same(different, [])
    await source.close()
  })

  t.test(`${format}: a reader for worker threads gives the same frames and the same errors`, async t => {
    const source = await open()
    t.ok(source.reader, 'there is one')
    if (!source.reader) return
    const reader = await openReader(source.reader)
    const into = new Uint8Array(2 ** 22)
    const different: number[] = []
    for (const { index } of source.series.frames) {
      const plane = await source.readFrame(index)
      const planned = decodePlanned(reader, index, into, fileOf(source, index))
      if (!sameSamples(await reader.readFrame(index), plane) || (planned && !sameSamples(planned, plane)))
        different.push(index)
    }
    t.same(different, [])
    const { index } = source.series.frames[1]!
    for (const length of [1000, 64, 10, 0]) {
      await truncate(fileOf(source, index), length)
      const message = await failureOf(() => source.readFrame(index))
      t.match(message, /./)
      t.equal(await failureOf(() => reader.readFrame(index)), message, `${length} bytes`)
      if (reader.readPzf)
        t.equal(await failureOf(() => decodePlanned(reader, index, into, fileOf(source, index))), message, 'planned')
    }
    await t.rejects(reader.readFrame(source.series.frames.at(-1)!.index + 1), { name: 'NotFoundError' })
    await source.close()
  })

  t.test(`${format}: closing twice is fine`, async t => {
    const source = await open()
    await t.resolves(source.close())
    await t.resolves(source.close())
  })
}

/** As a worker does it: nothing but plain data and the compiled module. */
export async function openReader({ module, data }: FrameReaderDescription): Promise<FrameReader> {
  const { openFrameReader }: { openFrameReader: (data: unknown) => FrameReader } = await import(module)
  return openFrameReader(structuredClone(data))
}

/** As a worker decodes a PZF frame, with our own Huffman decoder for a kernel. Undefined for other readers. */
export function decodePlanned(reader: FrameReader, index: number, into: Uint8Array, file: string): Plane | undefined {
  const plan = reader.readPzf?.(index, into)
  if (!plan) return undefined
  const { width, height, sampleType } = plan.header
  const decoded = plan.stored ?? new Uint8Array(plan.decodedBytes)
  for (const { input, start, length } of plan.streams)
    decodeHuffman(input, decoded.subarray(start, start + length), file)
  const samples = allocateSamples(sampleType, width * height)
  if (plan.arranged) samples.set(samplesFromBytes(sampleType, decoded))
  else arrangeSamples(plan.header, decoded, samples)
  return { width, height, sampleType, samples }
}

async function failureOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return String(error)
  }
}

export function sameSamples(a: Plane, b: Plane): boolean {
  return Buffer.compare(bytesOfSamples(a.samples), bytesOfSamples(b.samples)) === 0
}
