import { rmSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystemError } from '../errors.js'
import { checksumOfShard, JOURNAL_FILE, type KnownShard, nameOfShard, ShardJournal } from '../pyramid/shard-journal.js'

/** What a system wrote this long ago is on its disk: Linux waits for 30 s, and some more for the file's length. */
const WRITE_BACK_MS = 60_000

/**
 * Open the journal of a pyramid that an earlier build left. Where that was killed, or the power went, lines may be
 * missing of shards that got their names, and an older line would stand for a newer file of the same length. So the files
 * that changed after the journal was written, or shortly before, are compared with it, and those that differ are removed.
 *
 * @param wasFinished whether the build had come to its end: then everything was on the disk.
 * @throws {SourceUnavailableError} the journal or a shard cannot be read. @throws the signal's reason.
 */
export async function openCheckedJournal(
  directory: string,
  wasFinished: boolean,
  signal: AbortSignal | undefined,
): Promise<ShardJournal> {
  // Before it is opened, which may cut off its end.
  const written = statSync(join(directory, JOURNAL_FILE), { throwIfNoEntry: false })
  const journal = await ShardJournal.open(directory)
  try {
    const since = (written?.mtimeMs ?? Infinity) - (wasFinished ? 0 : WRITE_BACK_MS)
    for (const shard of journal.known()) {
      const path = join(directory, nameOfShard(shard))
      if (!hasChanged(path, shard, since)) continue
      signal?.throwIfAborted()
      const bytes = await readFile(path).catch(error => Promise.reject(fromSystemError(error, path)))
      if (checksumOfShard(bytes) !== (await journal.read(shard)).crc32) rmSync(path)
    }
    return journal
  } catch (error) {
    await journal.close()
    throw error
  }
}

/** Whether a file of the right length was written, or got its name, since then. */
function hasChanged(path: string, { bytes }: KnownShard, sinceMs: number): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  // A rename changes ctime, and mtime stays.
  return stats?.isFile() === true && stats.size === bytes && stats.ctimeMs > sinceMs
}
