import { join } from 'node:path'
import t from 'tap'
import { hdf5Pool } from '../src/sources/hdf5/hdf5-pool.js'
import { tilestage } from './run-cli.js'
import { unpackFixture } from './unpack-fixture.js'

t.teardown(() => hdf5Pool.close())

t.test('info --tree prints groups, datasets, attributes and what they refer to', async t => {
  const folder = t.testdir({})
  const paths = [unpackFixture(folder, 'usid/spectral_4d.h5'), unpackFixture(folder, 'h5/attrs.h5')]
  const { status, stdout } = await tilestage(['info', '--tree', ...paths])
  t.equal(status, 0)
  const lines = stdout.split('\n')
  for (const line of [
    paths[0],
    '  Measurement_000/',
    '      Raw_Data  768 × 48 float32, chunks 64 × 48, gzip (1)',
    '        @Position_Indices → /Measurement_000/Channel_000/Position_Indices',
    '        @quantity = "Current"',
    '        @X → a region of a dataset',
    '        @source_000 → /Measurement_000/Channel_000/Raw_Data',
    '    @DIMENSION_LIST → /x',
    '    @big = 1152921504606846976',
    '    @origin = [100.5, -20.25]',
  ]) {
    t.ok(lines.includes(line), line)
  }
})

t.test('info --tree of a part of a file, and of a pyramid, are JSON where that is asked for', async t => {
  const folder = t.testdir({})
  const path = unpackFixture(folder, 'h5/bad_chunk.h5')
  const output = join(folder, 'pyramid')
  const built = await tilestage(['build', path, '--output', output, '--progress', 'none'])
  t.equal(built.status, 2, 'a damaged chunk is skipped')
  t.match(built.stderr, /skipped: .*bad_chunk\.h5 is damaged: \/img cannot be read from 32, 48 on through gzip/)
  const { status, stdout } = await tilestage(['info', '--tree', '--json', `${path}#/img`, output])
  t.equal(status, 0)
  t.match(JSON.parse(stdout), {
    kind: 'trees',
    trees: [
      { root: { name: '/img', kind: 'dataset', facts: '96 × 128 uint16, chunks 32 × 48, gzip (1)' } },
      { root: { kind: 'group', children: [{ name: '0', kind: 'dataset', facts: /^1 × 1 × 1 × 96 × 128 uint16/ }] } },
    ],
  })
})

t.test('info --tree of what has no tree says what has', async t => {
  const { status, stderr } = await tilestage(['info', '--tree', t.testdir({})])
  t.equal(status, 1)
  t.match(stderr, /has no tree to show: it is neither an HDF5 file \(\.h5, .*\.ims\) nor a folder with zarr\.json/)
})
