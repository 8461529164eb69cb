import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Plane } from '../../src/plane.js'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { readPzfHeader } from '../../src/sources/pyme/pzf-header.js'
import { decodePlanned, openReader, sameSamples } from './read-as-worker.js'
import { composePzf, plainMetadata, writeSeries } from './write-series.js'

interface FrameTruth {
  i: number
  x_um: number
  y_um: number
  sum: number
  sha256_C_le_u16: string
}

const plate = fileURLToPath(new URL('../../examples/plate/', import.meta.url))
const fixtures = fileURLToPath(new URL('../fixtures/pyme/', import.meta.url))
const truth: { voxel_um: number; roi_origin: [number, number]; series: Record<string, { frames: FrameTruth[] }> } =
  JSON.parse(readFileSync(join(fixtures, 'series_truth.json'), 'utf8'))

/** The hash that the fixtures give is of PYME's array, whose first axis is x. */
function hashColumns({ width, height, samples }: Plane): string {
  const columns = new Uint16Array(samples.length)
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) columns[x * height + y] = samples[y * width + x]!
  return createHash('sha256').update(columns).digest('hex')
}

function sum({ samples }: Plane): number {
  let total = 0
  for (const sample of samples) total += sample
  return total
}

for (const [well, { frames }] of Object.entries(truth.series)) {
  t.test(`well ${well} has the pixels and the positions that PYME gives it`, async t => {
    const source = await openPcsSeries(join(plate, `well_${well}.pcs`))
    const { series } = source
    t.equal(source.format, 'PYME series')
    t.match(series, {
      name: `well_${well}`,
      dataStartsAt: 0,
      frameSize: { width: 256, height: 256 },
      sampleType: 'uint16',
      pixelSizeUm: { x: truth.voxel_um, y: truth.voxel_um },
      channels: [{ name: 'Channel 1' }],
      zPlanes: 1,
      darkLevel: 100,
      well,
      cameraRoi: { x: truth.roi_origin[0], y: truth.roi_origin[1] },
      complete: true,
      problems: [],
      fingerprint: /^[0-9a-f]{16}$/,
    })
    t.equal(series.metadata['Camera.Name'], 'SynthCam')
    t.equal(series.frames.length, 25)
    for (const [i, frame] of frames.entries()) {
      t.match(series.frames[i], {
        index: frame.i,
        stagePosition: { xUm: frame.x_um, yUm: frame.y_um },
        position: { xUm: frame.x_um + 0.325 * 64, yUm: frame.y_um + 0.325 * 32 },
        channel: 0,
        zPlane: 0,
        timePoint: 0,
      })
      const plane = await source.readFrame(frame.i)
      t.equal(sum(plane), frame.sum, `frame ${frame.i}: sum`)
      t.equal(hashColumns(plane), frame.sha256_C_le_u16, `frame ${frame.i}: samples`)
    }
    await source.close()
  })
}

t.test('a worker reads every kind of frame that PYME writes as the main thread does', async t => {
  const pzf = fileURLToPath(new URL('../fixtures/pzf/', import.meta.url))
  const into = new Uint8Array(2 ** 20)
  let read = 0
  for (const name of readdirSync(pzf).filter(name => name.endsWith('.pzf'))) {
    const bytes = readFileSync(join(pzf, name))
    if (readPzfHeader(bytes, name).depth > 1) continue
    const source = await openPcsSeries(writeSeries(join(t.testdir({}), 'a.pcs'), [0], { 'frame00000.pzf': bytes }))
    const reader = await openReader(source.reader!)
    const [plane, other] = await Promise.all([source.readFrame(0), reader.readFrame(0)])
    const planned = await decodePlanned(reader, 0, into, name)
    if (!sameSamples(plane, other) || !planned || !sameSamples(plane, planned)) t.fail(name)
    t.equal(reader.readPzf?.(0, new Uint8Array(bytes.length - 1)), undefined, 'too little room')
    read++
  }
  t.equal(read, 115)
})

t.test('a worker is told of a frame that is no file, or of another shape, in the same words', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2, 3, 4, 5], {
    'frame00002.pzf': composePzf({ width: 5 }),
    'frame00003.pzf': composePzf({ depth: 2 }),
  })
  const source = await openPcsSeries(folder)
  const reader = await openReader(source.reader!)
  const path = (index: number) => join(folder, `frame0000${index}.pzf`)
  for (const index of [1, 4, 5]) rmSync(path(index))
  execFileSync('mkfifo', [path(1)])
  mkdirSync(path(4))
  const into = new Uint8Array(2 ** 20)
  for (const index of [1, 2, 3, 4, 5]) {
    const { name, message } = await source.readFrame(index).catch(error => error)
    t.throws(() => reader.readPzf?.(index, into), { name, message })
    await t.rejects(reader.readFrame(index), { name, message })
  }
  t.throws(() => reader.readPzf?.(0.5, into), RangeError)
})

t.test('a quantised series is its original within half a quantisation step', async t => {
  const folder = join(fixtures, 'a1_quant.pcs')
  const [quantised, original] = await Promise.all([openPcsSeries(folder), openPcsSeries(join(plate, 'well_A1.pcs'))])
  t.equal(quantised.series.frames.length, 6)
  for (const { index, position } of quantised.series.frames) {
    t.same(position, original.series.frames[index]!.position)
    const header = readPzfHeader(readFileSync(join(folder, `frame0000${index}.pzf`)), folder)
    const { offset, scale } = header.quantisation!
    const [found, expected] = await Promise.all([quantised.readFrame(index), original.readFrame(index)])
    let beyond = 0
    for (const [i, count] of expected.samples.entries()) {
      // (root ± scale/2)², and the cut of the decimals.
      const halfStep = scale * Math.sqrt(Math.max(0, count - offset)) + scale ** 2 / 4
      if (Math.abs(found.samples[i]! - count) > halfStep + 1) beyond++
    }
    t.equal(beyond, 0, `frame ${index}`)
  }
})

t.test('positions add the camera ROI in µm, per axis, by whichever keys the metadata has', async t => {
  const cases: [metadata: Record<string, unknown>, x: number, y: number][] = [
    [{}, 0, 0],
    [{ 'Camera.ROIOriginX': 8, 'Camera.ROIOriginY': 4, 'Camera.ROIPosX': 99 }, 8, 4],
    [{ 'Camera.ROIPosX': 9, 'Camera.ROIPosY': 5 }, 8, 4],
    [{ 'Camera.ROIOriginX': 1, 'Multiview.ActiveViews': [0, 1], 'Multiview.ROI0Origin': [20, 30] }, 20, 30],
    [{ 'Camera.ROIOriginX': 1, 'Multiview.ActiveViews': [], 'Multiview.ROI0Origin': [20, 30] }, 1, 0],
  ]
  for (const [keys, x, y] of cases) {
    const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], { 'metadata.json': { ...plainMetadata, ...keys } })
    const { series } = await openPcsSeries(folder)
    t.same(series.cameraRoi, { x, y })
    t.same(series.frames[1]!.stagePosition, { xUm: 10, yUm: 20 })
    t.same(series.frames[1]!.position, { xUm: 10 + 0.5 * x, yUm: 20 + 0.25 * y })
    t.same(series.problems, [])
  }
})

t.test('gaps keep their numbers, long numbers count, and other files are left alone', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [1, 2, 4, 8, 100000], {
    'frame000003.pzf': composePzf(),
    'frame3.pzf': composePzf(),
    'frame00005.pzf.tmp': '',
    '.frame00006.pzf': '',
    'notes.txt': '',
    'events.json': [
      ['ScannerXPos', '7', 1000],
      ['ScannerYPos', '8', 1000],
    ],
  })
  const source = await openPcsSeries(folder)
  t.same(
    source.series.frames.map(frame => frame.index),
    [1, 2, 4, 8, 100000],
  )
  t.same(source.series.problems, [
    'Frames 0, 3, 5–7 and 9–99999 are missing.',
    'Files not named like frame00000.pzf are ignored: frame000003.pzf, frame3.pzf.',
  ])
  await t.resolves(source.readFrame(100000))
  await t.rejects(source.readFrame(3), RangeError)
})

t.test('final_metadata.json counts where both files have a key, and may stand alone', async t => {
  const { StartTime, ...atStart } = plainMetadata
  const both = writeSeries(join(t.testdir({}), 'both.pcs'), [0], {
    'metadata.json': { ...atStart, 'Camera.ADOffset': 1, imageID: 5 },
    'final_metadata.json': { StartTime, 'Camera.ADOffset': 2 },
  })
  const { series } = await openPcsSeries(both)
  t.equal(series.darkLevel, 2)
  t.equal(series.metadata.imageID, 5)
  const alone = writeSeries(join(t.testdir({}), 'alone.pcs'), [0], {
    'metadata.json': undefined,
    'final_metadata.json': plainMetadata,
  })
  t.same((await openPcsSeries(alone)).series.problems, ['metadata.json is missing; final_metadata.json is used.'])
})

t.test('a series without one of its files is refused by the name of what is missing', async t => {
  const open = (files: Record<string, unknown>, frames = [0]) =>
    openPcsSeries(writeSeries(join(t.testdir({}), 'a.pcs'), frames, files))
  await t.rejects(open({ 'metadata.json': undefined }), {
    name: 'NotFoundError',
    message: /a\.pcs has neither metadata\.json nor final_metadata\.json/,
  })
  await t.rejects(open({ 'events.json': undefined }), {
    name: 'SourceUnavailableError',
    message: /a\.pcs has no events\.json, which PYME writes when an acquisition ends/,
  })
  await t.rejects(open({}, []), { name: 'NotFoundError', message: /a\.pcs holds no frames: among its 2 entries/ })
  await t.rejects(openPcsSeries('nowhere.pcs'), { name: 'NotFoundError', message: 'nowhere.pcs does not exist.' })
  for (const [key, file] of [
    ['StartTime', 'events.json'],
    ['Camera.CycleTime', 'events.json'],
  ] as const) {
    const rejected = open({ 'metadata.json': { ...plainMetadata, [key]: undefined } })
    await t.rejects(rejected, { name: 'UnsupportedDataError', message: new RegExp(`${file}.*no usable ${key}`) })
  }
})

t.test('damaged JSON is an error that names its file', async t => {
  const cases: [name: string, content: string][] = [
    ['metadata.json', '{"StartTime": 1000'],
    ['metadata.json', '[1, 2]'],
    ['metadata.json', ''],
    ['final_metadata.json', 'null'],
    ['events.json', '{"ScannerXPos": 1}'],
    ['events.json', '[["ScannerXPos", "1", 1000]'],
    ['events.json', `"${'\\"'.repeat(100_000)}`],
  ]
  for (const [name, content] of cases) {
    const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0], { [name]: content })
    await t.rejects(openPcsSeries(folder), { name: 'CorruptDataError', message: new RegExp(`a\\.pcs.${name} `) })
  }
})

t.test("Python's NaN and Infinity are read as missing numbers, in texts they stay", async t => {
  const metadata = `{"StartTime": 1000.0, "Camera.CycleTime": 1, "Camera.ADOffset": NaN, "voxelsize.x": Infinity,
    "voxelsize.y": -Infinity, "Note": "NaN, \\"Infinity\\"", "Protocol.DataStartsAt": 1}`
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], { 'metadata.json': metadata })
  const { series } = await openPcsSeries(folder)
  t.equal(series.darkLevel, 0)
  t.equal(series.dataStartsAt, 1)
  t.equal(series.pixelSizeUm, undefined)
  t.equal(series.metadata.Note, 'NaN, "Infinity"')
  t.same(series.frames[1]!.position, series.frames[1]!.stagePosition)
  t.same(series.problems, [
    'The pixel size is unknown: voxelsize.x is null and voxelsize.y is null.',
    'Camera.ADOffset is null; a dark level of 0 counts is used.',
  ])
})

t.test('a position that is no finite number is refused only where a frame needs it', async t => {
  const metadata = { ...plainMetadata, 'Positioning.x': null }
  const used = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], {
    'metadata.json': metadata,
    'events.json': [
      ['ScannerXPos', '1', 1001.5],
      ['ScannerYPos', '1', 1001.5],
    ],
  })
  await t.rejects(openPcsSeries(used), {
    name: 'CorruptDataError',
    message: /Frame 0 of .*a\.pcs .*Positioning\.x/,
    frameIndex: 0,
  })
  await t.resolves(openPcsSeries(writeSeries(join(t.testdir({}), 'b.pcs'), [0, 1], { 'metadata.json': metadata })))
})

t.test('channels and z-planes follow DimOrder, the letter after XY counting fastest', async t => {
  const located = async (keys: Record<string, unknown>) => {
    const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2, 3, 4, 5, 6, 7], {
      'metadata.json': { ...plainMetadata, ...keys },
    })
    const { frames, channels, zPlanes, problems } = (await openPcsSeries(folder)).series
    return {
      at: frames.map(frame => `${frame.channel}${frame.zPlane}`).join(' '),
      channels: channels.length,
      zPlanes,
      problems,
    }
  }
  const sizes = { SizeC: 2, SizeZ: 2, SizeT: -1 }
  t.match(await located({ ...sizes, DimOrder: 'XYCZT' }), {
    at: '00 10 01 11 00 10 01 11',
    channels: 2,
    zPlanes: 2,
    problems: [],
  })
  t.match(await located({ ...sizes, DimOrder: 'XYZTC' }), { at: '00 01 00 01 10 11 10 11' })
  t.match(await located({ ...sizes, DimOrder: 'XYTCZ' }), { at: '00 00 10 10 01 01 11 11' })
  t.match(await located({ SizeC: -1, SizeZ: -1, SizeT: -1 }), {
    at: '00 00 00 00 00 00 00 00',
    channels: 1,
    zPlanes: 1,
  })
  t.match(await located({ SizeC: 1, SizeZ: 1, SizeT: 9, DimOrder: 'ZYX' }), {
    problems: [
      'DimOrder is "ZYX", not XY followed by C, Z and T; XYCZT is used.',
      'The metadata announces 9 frames (SizeC 1 × SizeZ 1 × SizeT 9), and 8 are there.',
    ],
  })
  await t.rejects(located({ SizeC: 1e9 }), { name: 'LimitExceededError', message: /SizeC 1000000000/ })
})

t.test('things that a user should know are problems, one sentence each', async t => {
  const { StartTime, 'Camera.CycleTime': cycleTime } = plainMetadata
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], {
    'metadata.json': {
      StartTime,
      'Camera.CycleTime': cycleTime,
      'Camera.ROIOriginX': 'left',
      'voxelsize.x': 100,
      'voxelsize.y': 100,
      'voxelsize.units': 'nm',
      'CameraOrientation.FlipX': true,
      'Sample.Well': ' B07 ',
    },
    'events.json': [['ScannerXPos', '1', 1000], ['ScannerYPos', '1', 1000], ['ScannerYPos', 'up', 1001], ['what']],
  })
  const { series } = await openPcsSeries(folder)
  t.equal(series.well, 'B07')
  t.same(series.problems, [
    'Entries of events.json that are no events were ignored: 1.',
    'The pixel size is unknown: voxelsize.units is "nm", not "um".',
    'Protocol.DataStartsAt is missing; all frames are used.',
    'The camera ROI has no number for its X origin; 0 is used.',
    'Camera.ADOffset is missing; a dark level of 0 counts is used.',
    'CameraOrientation.FlipX is set and not applied; --flip-image and --rotate-image do so.',
    'Stage events whose description is no number were ignored: 1.',
  ])
})

t.test('broken frames do not keep the others from being read', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2, 3, 4, 5], {
    'frame00000.pzf': '',
    // A header that a flipped bit made wider.
    'frame00001.pzf': composePzf({ width: 5 }),
    'frame00003.pzf': composePzf({ format: 0 }),
    'frame00005.pzf': composePzf({ depth: 2 }),
  })
  const source = await openPcsSeries(folder)
  t.same(source.series.frameSize, { width: 4, height: 3 })
  t.same(source.series.problems, [
    `Frame 0 is unreadable: ${join(folder, 'frame00000.pzf')} is truncated: it has 0 bytes, and a PZF header needs 48.`,
  ])
  for (const index of [2, 4]) await t.resolves(source.readFrame(index))
  const corrupt = { name: 'CorruptDataError' }
  await t.rejects(source.readFrame(0), corrupt)
  await t.rejects(source.readFrame(1), {
    ...corrupt,
    message: `${join(folder, 'frame00001.pzf')} has 5 × 3 pixels of uint16, and the other frames of its series have 4 × 3 pixels of uint16.`,
    frameIndex: 1,
  })
  await t.rejects(source.readFrame(3), { ...corrupt, message: /4 × 3 pixels of uint8/ })
  await t.rejects(source.readFrame(5), { name: 'UnsupportedDataError', message: /frame00005\.pzf holds 2 planes/ })
  rmSync(join(folder, 'frame00004.pzf'))
  await t.rejects(source.readFrame(4), { name: 'NotFoundError', message: /frame00004\.pzf does not exist/ })
})

t.test('a frame that is no file, or far longer than its samples, is refused and not waited for', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1, 2, 3])
  const path = (index: number) => join(folder, `frame0000${index}.pzf`)
  for (const index of [0, 1]) rmSync(path(index))
  execFileSync('mkfifo', [path(0)])
  mkdirSync(path(1))
  truncateSync(path(2), 2 ** 30)
  const source = await openPcsSeries(folder)
  t.match(source.series.problems, [/^Frames 0 and 1 are unreadable: .*frame00000\.pzf is a pipe or a device/])
  await t.rejects(source.readFrame(0), { name: 'UnsupportedDataError', message: /is a pipe or a device where a file/ })
  await t.rejects(source.readFrame(1), { name: 'UnsupportedDataError', message: /is a folder where a file/ })
  await t.rejects(source.readFrame(2), { name: 'LimitExceededError', message: /has 1073741824 bytes/ })
  await t.resolves(source.readFrame(3))
})

t.test('a series of which no frame can be read is refused for the reason of the first', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1], { 'frame00000.pzf': 'BD', 'frame00001.pzf': '' })
  await t.rejects(openPcsSeries(folder), { name: 'CorruptDataError', message: /frame00000\.pzf is truncated/ })
})

t.test('a series that grew has more frames and another fingerprint; one that did not has the same', async t => {
  const folder = writeSeries(join(t.testdir({}), 'a.pcs'), [0, 1])
  const first = (await openPcsSeries(folder)).series
  t.equal((await openPcsSeries(folder)).series.fingerprint, first.fingerprint)
  writeFileSync(join(folder, 'frame00002.pzf'), composePzf())
  const grown = (await openPcsSeries(folder)).series
  t.equal(grown.frames.length, 3)
  t.same(
    grown.frames.slice(0, 2).map(({ stamp }) => stamp),
    first.frames.map(({ stamp }) => stamp),
  )
  writeFileSync(join(folder, 'frame00001.pzf'), composePzf({ fill: 1 }))
  t.not((await openPcsSeries(folder)).series.frames[1]!.stamp, first.frames[1]!.stamp)
  t.not(grown.fingerprint, first.fingerprint)
  appendFileSync(join(folder, 'events.json'), ' ')
  t.not((await openPcsSeries(folder)).series.fingerprint, grown.fingerprint)
})
