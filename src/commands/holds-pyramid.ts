import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { PYRAMID_ROOT_FILES } from '../pyramid/root-stamp.js'
import { isSeries } from '../sources/find-on-disk.js'

/**
 * Whether `info` and `view` should open a path as a pyramid: it has the root file of one and is no series. What is
 * neither is opened as a series, whose readers say what they found instead.
 */
export async function holdsPyramid(path: string): Promise<boolean> {
  const present = PYRAMID_ROOT_FILES.map(name =>
    access(join(path, name)).then(
      () => true,
      () => false,
    ),
  )
  return (await Promise.all(present)).includes(true) && !(await isSeries(path))
}
