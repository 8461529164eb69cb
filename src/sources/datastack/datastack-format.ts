import type { FileFormat } from '../file-format.js'
import { FollowedFile } from '../followed-file.js'
import { DATASTACK_ENDING, openDatastack } from './open-datastack.js'

export const DATASTACK_FORMAT: FileFormat = {
  name: 'a .datastack file',
  ending: DATASTACK_ENDING,
  isFoundInFolders: true,
  isSeries: async () => true,
  locate({ path, inside, url, identity }) {
    const open = () => openDatastack(path, inside, url)
    return { url, identity, open, follow: () => new FollowedFile(url, path, open) }
  },
}
