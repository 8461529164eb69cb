import sharp from 'sharp'

/** Grey and alpha of each pixel of a grey PNG; alpha is 255 where the PNG has none. */
export async function decodePng(
  png: Buffer,
): Promise<{ width: number; height: number; grey: Uint8Array; alpha: Uint8Array }> {
  const { data, info } = await sharp(png)
    .ensureAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const channel = (first: number): Uint8Array => {
    const values = new Uint8Array(info.width * info.height)
    for (let i = 0; i < values.length; i++) values[i] = data[i * info.channels + first]
    return values
  }
  return { width: info.width, height: info.height, grey: channel(0), alpha: channel(info.channels - 1) }
}
