import type { FileFormat } from '../file-format.js'
import { FollowedFile } from '../followed-file.js'
import { openRaw, RAW_ENDING, rawPair } from './open-raw.js'

export const RAW_FORMAT: FileFormat = {
  name: 'a Bruker .raw file with its .rpl file',
  ending: RAW_ENDING,
  isFoundInFolders: true,
  // The other one of the pair is its series, too; and .raw files of other programs have none.
  isSeries: async path => /\.rpl$/i.test(path),
  locate({ path, url, identity }, options) {
    const open = () => openRaw(path, url, options)
    const follow = () => new FollowedFile(url, rawPair(path).raw, open, () => [rawPair(path).rpl])
    const { raw, rpl } = rawPair(identity)
    return { url, identity: rpl, files: [raw, rpl], open, follow }
  },
}
