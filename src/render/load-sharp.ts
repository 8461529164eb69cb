import type sharp from 'sharp'

/**
 * libvips, loaded with the first picture that needs it: that takes as long as a third of the server's start, and PNG tiles
 * are none.
 */
export async function loadSharp(): Promise<typeof sharp> {
  const { default: loaded } = await import('sharp')
  // A picture is drawn by one thread; libvips' own threads and its operation cache only cost there.
  loaded.concurrency(1)
  loaded.cache(false)
  return loaded
}
