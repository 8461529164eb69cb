import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** An uncompressed PZF frame of uint16 zeros, or of other type codes and depths where a test asks for them. */
export function composePzf({ width = 4, height = 3, depth = 1, format = 1, fill = 0 } = {}): Buffer {
  const header = Buffer.alloc(64)
  header.write('BD')
  header.set([3, format, 0, 0, 'F'.charCodeAt(0)], 2)
  header.writeUInt32LE(width, 20)
  header.writeUInt32LE(height, 24)
  header.writeUInt32LE(depth, 28)
  header.writeUInt32LE(64, 48)
  return Buffer.concat([header, Buffer.alloc(width * height * depth * [1, 2, 4][format]!, fill)])
}

export const plainMetadata = {
  StartTime: 1000,
  'Camera.CycleTime': 1,
  'Camera.ADOffset': 100,
  'Protocol.DataStartsAt': 0,
  'voxelsize.x': 0.5,
  'voxelsize.y': 0.25,
}

/** One move a frame: frame n lies at (10 n, 20 n) µm. */
export function plainEvents(frameCount: number): [string, string, number][] {
  return Array.from({ length: frameCount }, (_, frame) => [
    ['ScannerXPos', `${10 * frame}.000000`, 1000.5 + frame] as [string, string, number],
    ['ScannerYPos', `${20 * frame}.000000`, 1000.6 + frame] as [string, string, number],
  ]).flat()
}

/**
 * Write a series folder.
 *
 * @param files by name: text or bytes as they are, other values as JSON. `undefined` leaves out one of the plain ones.
 */
export function writeSeries(
  folder: string,
  frameNumbers: readonly number[],
  files: Record<string, unknown> = {},
): string {
  mkdirSync(folder, { recursive: true })
  const plain: Record<string, unknown> = {
    'metadata.json': plainMetadata,
    'events.json': plainEvents(Math.max(0, ...frameNumbers) + 1),
  }
  for (const number of frameNumbers) plain[`frame${String(number).padStart(5, '0')}.pzf`] = composePzf()
  for (const [name, content] of Object.entries({ ...plain, ...files })) {
    if (content === undefined) continue
    const bytes = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content)
    writeFileSync(join(folder, name), bytes)
  }
  return folder
}
