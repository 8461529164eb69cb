/**
 * Put samples of 2, 4 or 8 bytes together from their planes: the first bytes of all samples, then the second ones, …
 *
 * @param count of the samples.
 */
export function unshuffle(planes: u32, count: u32, size: u32, target: u32): void {
  let i: u32 = 0
  if (size === 2) i = join2(planes, count, target)
  else if (size === 4) i = join4(planes, count, target)
  for (; i < count; i++) {
    for (let plane: u32 = 0; plane < size; plane++)
      store<u8>(target + i * size + plane, load<u8>(planes + plane * count + i))
  }
}

/** Sixteen samples at a time. @returns how many were joined. */
function join2(planes: u32, count: u32, target: u32): u32 {
  let i: u32 = 0
  for (; i + 16 <= count; i += 16) {
    const first = v128.load(planes + i)
    const second = v128.load(planes + count + i)
    v128.store(target + 2 * i, lowBytes(first, second))
    v128.store(target + 2 * i, highBytes(first, second), 16)
  }
  return i
}

function join4(planes: u32, count: u32, target: u32): u32 {
  let i: u32 = 0
  for (; i + 16 <= count; i += 16) {
    const at = planes + i
    const first = v128.load(at)
    const second = v128.load(at + count)
    const third = v128.load(at + 2 * count)
    const fourth = v128.load(at + 3 * count)
    join16(lowBytes(first, second), lowBytes(third, fourth), target + 4 * i)
    join16(highBytes(first, second), highBytes(third, fourth), target + 4 * i + 32)
  }
  return i
}

/** Lower and upper halves of eight samples of 32 bits. */
function join16(lower: v128, upper: v128, target: u32): void {
  v128.store(target, v128.shuffle<i16>(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11))
  v128.store(target, v128.shuffle<i16>(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15), 16)
}

function lowBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

function highBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
}
