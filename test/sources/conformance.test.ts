import { copyFileSync, cpSync, renameSync, rmSync, truncateSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openPcsSeries } from '../../src/sources/pyme/pcs-series.js'
import { checkFrameSource, type MadeSeries, type SeriesKind } from './frame-source-contract.js'

const plate = fileURLToPath(new URL('../../examples/plate/', import.meta.url))

const pymeFolder: SeriesKind = {
  name: 'PYME series',
  async make(t): Promise<MadeSeries> {
    const folder = join(t.testdir({}), 'well_A1.pcs')
    cpSync(join(plate, 'well_A1.pcs'), folder, { recursive: true })
    const fileOf = (index: number): string => join(folder, `frame${String(index).padStart(5, '0')}.pzf`)
    return {
      isOneFile: false,
      open: () => openPcsSeries(folder),
      fileOf,
      async cutShort(index, keptBytes) {
        truncateSync(fileOf(index), keptBytes)
      },
      async replace(index, other) {
        const beside = join(folder, 'next')
        copyFileSync(fileOf(other), beside)
        utimesSync(beside, new Date(), new Date(2030, 0))
        renameSync(beside, fileOf(index))
      },
      async remove(index) {
        rmSync(fileOf(index))
      },
    }
  },
}

for (const kind of [pymeFolder]) checkFrameSource(t, kind)
