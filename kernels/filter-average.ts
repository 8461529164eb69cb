const FILTER_AVERAGE: u8 = 3

/**
 * PNG's filter "Average": each row behind a byte that names the filter, as differences from ⌊(left + above) / 2⌋.
 *
 * @param pixels of the first row; the row above it lies before it.
 * @param pixelBytes to the pixel on the left; outside the picture is 0.
 */
export function filterAverage(pixels: u32, rowBytes: u32, pixelBytes: u32, rows: u32, target: u32): void {
  for (let y: u32 = 0; y < rows; y++) {
    store<u8>(target++, FILTER_AVERAGE)
    let x: u32 = 0
    for (; x < pixelBytes; x++) {
      const at = pixels + x
      store<u8>(target + x, load<u8>(at) - (load<u8>(at - rowBytes) >> 1))
    }
    for (; x + 16 <= rowBytes; x += 16) {
      const at = pixels + x
      const left = v128.load(at - pixelBytes)
      const above = v128.load(at - rowBytes)
      // The machine's mean rounds up.
      const odd = v128.and(v128.xor(left, above), i8x16.splat(1))
      const mean = i8x16.sub(i8x16.avgr_u(left, above), odd)
      v128.store(target + x, i8x16.sub(v128.load(at), mean))
    }
    for (; x < rowBytes; x++) {
      const at = pixels + x
      const mean = (<u32>load<u8>(at - pixelBytes) + <u32>load<u8>(at - rowBytes)) >> 1
      store<u8>(target + x, load<u8>(at) - mean)
    }
    pixels += rowBytes
    target += rowBytes
  }
}
