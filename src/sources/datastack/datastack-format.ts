import type { FileFormat } from '../file-format.js'
import { FollowedFile } from '../followed-file.js'

export const DATASTACK_ENDING = /\.datastack$/i

export const DATASTACK_FORMAT: FileFormat = {
  name: 'a .datastack file',
  ending: DATASTACK_ENDING,
  isFoundInFolders: true,
  isSeries: async () => true,
  locate({ path, inside, url, identity }) {
    // Most series need no zarr, which is as much to load as all of our own readers.
    const open = async () => (await import('./open-datastack.js')).openDatastack(path, inside, url)
    return { url, identity, open, follow: () => new FollowedFile(url, path, open) }
  },
}
