/** A build in plain TypeScript on one thread, by the same engine: what kernels and workers are compared with. */
import { buildPyramid } from '../src/engine/build-pyramid.js'
import { DEFAULT_SETTINGS } from '../src/pyramid/build-settings.js'
import { openSources } from '../src/sources/open-source.js'

const [output, ...folders] = process.argv.slice(2)
const { sources } = await openSources(folders)
await buildPyramid({
  ...{ sources, output, overwrite: false, strict: true, plain: true },
  settings: DEFAULT_SETTINGS,
  software: 'benchmark',
})
