import { relative, sep } from 'node:path'

/** Whether `path` is `folder` or lies below it. Both must be real paths: links are not followed here. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path)
  // On another Windows drive the way is a whole path.
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !/^([a-z]:)?[\\/]/i.test(way))
}
