import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { buildPyramid } from '../../src/engine/build-pyramid.js'
import { figureGrid } from '../../src/export/figure.js'
import { TiffWriter } from '../../src/export/tiff-writer.js'
import { DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import { automaticWindow } from '../../src/pyramid/histogram.js'
import { levelSize } from '../../src/pyramid/mosaic-geometry.js'
import { openPyramid } from '../../src/pyramid/open-pyramid.js'
import type { MosaicSelection, Pyramid } from '../../src/pyramid/pyramid.js'
import { readRegion } from '../../src/pyramid/read-region.js'
import { readWithZarrita } from '../pyramid/read-with-zarrita.js'
import { syntheticSource } from '../pyramid/synthetic-source.js'
import { PLATE, tilestage } from '../run-cli.js'

const folder = t.testdir({})
const out = join(folder, 'out')
const FIRST = { channel: 0, zPlane: 0, timePoint: 0 }

let well: Pyramid
let maps: Pyramid

t.before(async () => {
  const output = join(folder, 'well')
  await tilestage(['build', join(PLATE, 'well_A1.pcs'), '--output', output, '--progress', 'none'])
  well = await openPyramid(output)
  maps = await openPyramid(await buildMaps())
})
t.teardown(() => Promise.all([well.close(), maps.close()]))

/** Two channels, two z-planes, floats with a hole and values that tell where they are. */
async function buildMaps(): Promise<string> {
  const output = join(folder, 'maps')
  const places = [0, 1].flatMap(channel => [0, 1].map(zPlane => ({ channel, zPlane })))
  const source = syntheticSource({
    url: 'maps',
    frames: places.flatMap(place => [
      { ...place, xUm: 0, yUm: 0 },
      { ...place, xUm: 290, yUm: 170 },
    ]),
    frameSize: { width: 300, height: 200 },
    sampleType: 'float32',
    channels: [{ name: 'Fe' }, { name: 'Ca' }],
    sample: (frame, x, y) => (x === 7 && y === 9 ? Number.NaN : frame + x / 1000 + y),
  })
  await buildPyramid({
    sources: [source],
    output,
    settings: DEFAULT_SETTINGS,
    overwrite: false,
    strict: true,
    software: 'tilestage test',
  })
  return output
}

async function exportTo(t: Test, pyramid: Pyramid, format: string, ...flags: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await tilestage([
    'export',
    pyramid.path,
    ...['--to', out, '--format', format, '--progress', 'none', ...flags],
  ])
  t.equal(status, 0, stderr)
  return stdout.trim().split('\n')
}

function wholeLevel(pyramid: Pyramid, plane: MosaicSelection, level: number) {
  const { width, height } = levelSize(pyramid.geometry, level)
  return readRegion(pyramid, plane, level, { x0: 0, y0: 0, x1: width, y1: height })
}

/** The brightness that a sample is drawn with. */
async function greyOf(pyramid: Pyramid, channel: number): Promise<(value: number) => number> {
  const { black, white } = automaticWindow(await pyramid.histogram(channel), pyramid.sampleType)
  return value => Math.floor(Math.min(1, Math.max(0, (value - black) / (white - black))) * 255 + 0.5)
}

t.test('an image of a layer has every pixel of the mosaic, and is transparent where nothing was imaged', async t => {
  const paths = await exportTo(t, well, 'images', '--image-format', 'png', '--names', 'DAPI')
  t.same(paths, [join(out, 'well_DAPI.png')])
  const { data, info } = await sharp(paths[0]).raw().toBuffer({ resolveWithObject: true })
  t.match(info, { ...well.geometry.size, channels: 4 })
  const { plane, mask } = await wholeLevel(well, FIRST, 0)
  const grey = await greyOf(well, 0)
  let wrong = 0
  for (let i = 0; i < plane.samples.length; i++) {
    const isCovered = mask?.[i] !== 0
    const expected = isCovered ? grey(plane.samples[i]) : undefined
    if (data[4 * i + 3] !== (isCovered ? 255 : 0) || (isCovered && data[4 * i] !== expected)) wrong++
  }
  t.equal(wrong, 0)
})

t.test('a photo among maps is one picture, as it was taken', async t => {
  const output = join(folder, 'painting')
  const channels = [
    { name: 'Fe' },
    { name: 'Photo Red', color: 'ff0000' },
    { name: 'Photo Green', color: '00ff00' },
    { name: 'Photo Blue', color: '0000ff' },
    { name: 'Pb' },
  ]
  const source = syntheticSource({
    url: 'painting',
    frames: channels.map((_, channel) => ({ channel, xUm: 0, yUm: 0 })),
    frameSize: { width: 40, height: 30 },
    sampleType: 'float32',
    channels,
    sample: (frame, x, y) => 60 * frame + x + y / 4,
  })
  const settings = DEFAULT_SETTINGS
  await buildPyramid({
    sources: [source],
    output,
    settings,
    overwrite: false,
    strict: true,
    software: 'tilestage test',
  })
  const painting = await openPyramid(output)
  t.teardown(() => painting.close())

  const looks = ['--image-format', 'png', '--lut', 'viridis', '--stretch', 'equalize']
  const paths = await exportTo(t, painting, 'images', ...looks)
  t.same(
    paths.map(path => path.slice(out.length + 1)),
    ['painting_Fe.png', 'painting_Photo.png', 'painting_Pb.png'],
  )
  const { data } = await sharp(paths[1]).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const taken = Array.from({ length: 40 * 30 }, (_, i) =>
    [60, 120, 180].map(red => red + (i % 40) + Math.floor(i / 40) / 4),
  )
  t.same([...data], taken.flat().map(Math.round))

  const [svg] = await exportTo(t, painting, 'figure', '--image-format', 'svg')
  const text = await readFile(svg as string, 'utf8')
  t.same(text.match(/(?<=font-size="28">)[^<]+/g), ['Fe', 'Photo', 'Pb'])
  const tiles = await exportTo(t, painting, 'dzi')
  t.same(
    tiles.map(path => path.slice(out.length + 1)),
    ['painting_Fe.dzi', 'painting_Photo.dzi', 'painting_Pb.dzi'],
  )
  const tile = await sharp(join(out, 'painting_Photo_files/6/0_0.png')).removeAlpha().raw().toBuffer()
  t.ok(tile.equals(data))
})

t.test('images are called after object, kind and title, and a JPEG is the same picture', async t => {
  const flags = ['--object', 'RP-T-1898', '--kind', 'elementmap', '--public-url', 'https://images.example/']
  const urls = await exportTo(t, maps, 'images', ...flags)
  t.same(urls, [
    'https://images.example/RP-T-1898/images/RP-T-1898_elementmap_Fe.jpg',
    'https://images.example/RP-T-1898/images/RP-T-1898_elementmap_Ca.jpg',
  ])
  for (const channel of [0, 1]) {
    const path = join(out, new URL(urls[channel] as string).pathname)
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true })
    t.match(info, { ...maps.geometry.size, channels: 3 })
    const { plane } = await wholeLevel(maps, { ...FIRST, channel }, 0)
    const grey = await greyOf(maps, channel)
    let difference = 0
    plane.samples.forEach((value, i) => {
      difference += Math.abs((Number.isNaN(value) ? 0 : grey(value)) - (data[3 * i] as number))
    })
    t.ok(difference / plane.samples.length < 3, `${difference / plane.samples.length} steps a pixel`)
  }
})

t.test('libvips reads every page and level of an OME-TIFF as stored', async t => {
  const [path] = await exportTo(t, well, 'tiff')
  const { geometry } = well
  for (let level = 0; level < geometry.levelCount; level++) {
    const options = level === 0 ? {} : { subifd: level - 1 }
    const image = sharp(path, options)
    const { data, info } = await image
      .toColourspace('grey16')
      .raw({ depth: 'ushort' })
      .toBuffer({ resolveWithObject: true })
    t.match(info, { ...levelSize(geometry, level), channels: 1 })
    const { plane } = await wholeLevel(well, FIRST, level)
    t.ok(Buffer.from(plane.samples.buffer).equals(data), `level ${level}`)
  }
  const { density } = await sharp(path).metadata()
  t.equal(density, Math.round(25_400 / geometry.pixelSizeUm.x))
  const text = (await readFile(path as string)).toString('latin1')
  t.match(text, `PhysicalSizeX="${geometry.pixelSizeUm.x}" PhysicalSizeXUnit="&#181;m"`)
  t.match(text, `PositionX="${geometry.originUm.x}"`)
})

t.test('an OME-TIFF has a page for every plane, with NaN where nothing was imaged', async t => {
  const [path] = await exportTo(t, maps, 'tiff')
  t.equal((await sharp(path).metadata()).pages, 4)
  for (const page of [0, 1, 2, 3]) {
    const selection = { channel: page % 2, zPlane: Math.floor(page / 2), timePoint: 0 }
    const { data } = await sharp(path, { page })
      .toColourspace('b-w')
      .raw({ depth: 'float' })
      .toBuffer({ resolveWithObject: true })
    const read = new Float32Array(data.buffer, data.byteOffset, data.length / 4)
    const { plane } = await wholeLevel(maps, selection, 0)
    t.ok(
      plane.samples.every((value, i) => Object.is(value, read[i])),
      `page ${page}`,
    )
  }
  const text = (await readFile(path as string)).toString('latin1')
  t.match(text, 'SizeC="2" SizeZ="2" SizeT="1"')
  t.match(text, '<Channel ID="Channel:0:1" Name="Ca"')
})

t.test('a BigTIFF is read like any other', async t => {
  const path = join(t.testdir({}), 'big.tif')
  const writer = await TiffWriter.create(path, true)
  const samples = Uint16Array.from({ length: 6 }, (_, i) => 1000 * i)
  const { at } = await writer.write(new Uint8Array(samples.buffer))
  const blocks = [0, 1].map(row => ({ at: at + 6 * row, bytes: 6 }))
  const layout = { isDeflated: false, isDifferenced: false, samplesPerPixel: 1 } as const
  await writer.finish([{ width: 3, height: 2, sampleType: 'uint16', ...layout, blocks }])
  t.equal((await readFile(path)).readUInt16LE(2), 43)
  const data = await sharp(path).toColourspace('grey16').raw({ depth: 'ushort' }).toBuffer()
  t.same(new Uint16Array(data.buffer, data.byteOffset, 6), samples)
})

t.test('zarrita reads an OME-Zarr 0.4 sample by sample', async t => {
  for (const pyramid of [well, maps]) {
    const [path] = await exportTo(t, pyramid, 'ome-zarr-0.4')
    const { multiscales, omero } = JSON.parse(await readFile(join(path as string, '.zattrs'), 'utf8'))
    const { datasets } = multiscales[0]
    t.equal(datasets.length, pyramid.geometry.levelCount)
    const { originUm, pixelSizeUm } = pyramid.geometry
    t.same(datasets[1].coordinateTransformations, [
      { type: 'scale', scale: [1, 1, 1, 2 * pixelSizeUm.y, 2 * pixelSizeUm.x] },
      { type: 'translation', translation: [0, 0, 0, originUm.y + pixelSizeUm.y / 2, originUm.x + pixelSizeUm.x / 2] },
    ])
    t.same(
      omero.channels.map(({ label }: { label: string }) => label),
      pyramid.channels.map(({ name }) => name),
    )
    for (let level = 0; level < pyramid.geometry.levelCount; level++) {
      const selection = { channel: pyramid.channels.length - 1, zPlane: pyramid.zPlanes - 1, timePoint: 0 }
      const read = await readWithZarrita(path as string, level, selection)
      const { plane } = await wholeLevel(pyramid, selection, level)
      t.match(read, { width: plane.width, height: plane.height })
      t.ok(
        plane.samples.every((value, i) => Object.is(value, read.samples[i])),
        `level ${level}`,
      )
    }
  }
})

t.test('a PYME pyramid has the counts above dark, and only one plane', async t => {
  const [path] = await exportTo(t, well, 'pyme')
  const pyme = await openPyramid(path as string)
  t.teardown(() => pyme.close())
  t.equal(pyme.format, 'PYME pyramid')
  t.match(pyme.geometry, { originUm: well.geometry.originUm, pixelSizeUm: well.geometry.pixelSizeUm })
  const stored = await wholeLevel(well, FIRST, 0)
  const { width, height } = stored.plane
  const read = await readRegion(pyme, FIRST, 0, { x0: 0, y0: 0, x1: width, y1: height })
  const isRight = stored.plane.samples.every((value, i) => {
    const isCovered = stored.mask?.[i] !== 0
    return read.plane.samples[i] === (isCovered ? value - well.pedestal : 0) || (!isCovered && read.mask?.[i] === 0)
  })
  t.ok(isRight)
  const { status, stderr } = await tilestage(['export', maps.path, '--to', out, '--format', 'pyme'])
  t.equal(status, 1)
  t.match(stderr, /2 × 2 × 1 planes .* PYME's pyramids have one/)
})

t.test('a Deep Zoom Image has every tile down to one pixel', async t => {
  const [path] = await exportTo(t, well, 'dzi')
  const { width, height } = well.geometry.size
  t.match(await readFile(path as string, 'utf8'), `<Size Width="${width}" Height="${height}"/>`)
  const tiles = (path as string).replace(/\.dzi$/, '_files')
  const last = Math.ceil(Math.log2(Math.max(width, height)))
  t.equal((await readdir(tiles)).length, last + 1)
  t.match(await sharp(join(tiles, '0/0_0.png')).metadata(), { width: 1, height: 1 })
  t.equal((await readdir(join(tiles, String(last)))).length, Math.ceil(width / 256) * Math.ceil(height / 256))
  const { data, info } = await sharp(join(tiles, `${last}/1_2.png`))
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const { plane } = await readRegion(well, FIRST, 0, { x0: 256, y0: 512, x1: 512, y1: 768 })
  const grey = await greyOf(well, 0)
  t.ok(plane.samples.every((value, i) => grey(value) === data[info.channels * i]))
})

t.test('a figure shows each layer with its title below a heading', async t => {
  const [png] = await exportTo(t, maps, 'figure', '--heading', 'Two <maps>')
  const { columns, panel } = figureGrid(2, maps.geometry.size)
  const { width, height } = await sharp(png).metadata()
  t.equal(width, 24 + columns * (panel.width + 24))
  t.ok((height as number) > panel.height)
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => data[(y * info.width + x) * info.channels]
  t.ok(
    Array.from({ length: 400 * 70 }, (_, i) => at(24 + (i % 400), 24 + Math.floor(i / 400))).some(
      value => (value as number) < 100,
    ),
    'the heading is written',
  )

  const [svg] = await exportTo(t, maps, 'figure', '--image-format', 'svg', '--heading', 'Two <maps>')
  const text = await readFile(svg as string, 'utf8')
  t.equal(text.match(/<image /g)?.length, 2)
  t.match(text, />Two &#60;maps&#62;<\/text>/)
  t.match(text, />Fe<\/text>/)
  t.match(await sharp(svg).metadata(), { format: 'svg', width })
})

t.test('panels fill a figure of the usual shape, and long mosaics stay within bounds', t => {
  t.same(figureGrid(11, { width: 320, height: 240 }), { columns: 3, panel: { width: 776, height: 582 } })
  t.same(figureGrid(1, { width: 100, height: 100 }), { columns: 1, panel: { width: 1200, height: 1200 } })
  const { panel } = figureGrid(2, { width: 1135, height: 28_827 })
  t.same(panel, { width: 47, height: 1200 })
  t.end()
})

t.test('no format writes again what is there', async t => {
  const formats = [
    ['images'],
    ['figure', '--heading', 'a'],
    ['tiff'],
    ['ome-zarr-0.4'],
    ['pyme'],
    ['dzi', '--image-format', 'jpg'],
  ]
  for (const [format, ...flags] of formats) {
    const args = ['export', well.path, '--to', join(folder, 'again'), '--format', format as string, ...flags]
    const { stdout } = await tilestage(args)
    const path = stdout.trim()
    const { ctimeMs } = await stat(path)
    const { stderr } = await tilestage(args)
    t.match(stderr, /^0 files written/m, format)
    t.equal((await stat(path)).ctimeMs, ctimeMs)
  }
})

t.test('a folder that no export wrote is left alone, and flags of other formats are refused', async t => {
  const to = t.testdir({ 'well.ome.zarr': { mine: 'data' } })
  const taken = await tilestage(['export', well.path, '--to', to, '--format', 'ome-zarr-0.4'])
  t.equal(taken.status, 1)
  t.match(taken.stderr, /well\.ome\.zarr is there already and was not written by an export; write elsewhere/)
  t.same(await readdir(join(to, 'well.ome.zarr')), ['mine'])
  const wrong = await tilestage(['export', well.path, '--to', to, '--format', 'tiff', '--lut', 'viridis'])
  t.equal(wrong.status, 64)
  t.match(wrong.stderr, /--lut is not for --format tiff, but for static, images, figure, dzi\./)
})
