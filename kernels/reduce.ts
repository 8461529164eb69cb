/**
 * Mean of 2 × 2 samples of a square tile of 16 bits, rounded half to even.
 *
 * @param mask one byte a sample, 0 = not covered; no mask (0) where all are.
 * @param countsAbsent whether samples that are not covered count as `absentAs`, or not at all.
 * @param stride bytes from row to row of the target.
 */
export function reduce(
  samples: u32,
  edge: u32,
  mask: u32,
  countsAbsent: bool,
  absentAs: f64,
  target: u32,
  stride: u32,
): void {
  const half = edge / 2
  for (let y: u32 = 0; y < half; y++) {
    const above = samples + 4 * y * edge
    const maskAbove = mask === 0 ? 0 : mask + 2 * y * edge
    let x: u32 = 0
    for (; x + 8 <= half; x += 8) {
      const at = above + 4 * x
      if (mask !== 0) {
        const covered = v128.load(maskAbove + 2 * x)
        const coveredBelow = v128.load(maskAbove + edge + 2 * x)
        if (!v128.any_true(v128.or(covered, coveredBelow))) {
          v128.store(target + 2 * x, i16x8.splat(0))
          continue
        }
        if (!i8x16.all_true(v128.and(covered, coveredBelow))) {
          reduceMasked(at, edge, maskAbove + 2 * x, 8, countsAbsent, absentAs, target + 2 * x)
          continue
        }
      }
      v128.store(
        target + 2 * x,
        i16x8.narrow_i32x4_u(
          meansOfBlocks(v128.load(at), v128.load(at + 2 * edge)),
          meansOfBlocks(v128.load(at, 16), v128.load(at + 2 * edge, 16)),
        ),
      )
    }
    if (mask !== 0) {
      reduceMasked(above + 4 * x, edge, maskAbove + 2 * x, half - x, countsAbsent, absentAs, target + 2 * x)
    } else {
      for (; x < half; x++) {
        const at = above + 4 * x
        const below = at + 2 * edge
        const sum = <u32>load<u16>(at) + load<u16>(at, 2) + load<u16>(below) + load<u16>(below, 2)
        store<u16>(target + 2 * x, (sum + 1 + ((sum >> 2) & 1)) >> 2)
      }
    }
    target += stride
  }
}

/** Of four blocks. A quarter rounds half to even when 1 is added to the sum, or 2 where its whole part is odd. */
function meansOfBlocks(above: v128, below: v128): v128 {
  const sums = i32x4.add(i32x4.extadd_pairwise_i16x8_u(above), i32x4.extadd_pairwise_i16x8_u(below))
  const one = i32x4.splat(1)
  const odd = v128.and(i32x4.shr_u(sums, 2), one)
  return i32x4.shr_u(i32x4.add(sums, i32x4.add(odd, one)), 2)
}

function reduceMasked(
  above: u32,
  edge: u32,
  mask: u32,
  count: u32,
  countsAbsent: bool,
  absentAs: f64,
  target: u32,
): void {
  for (let i: u32 = 0; i < count; i++) {
    const at = above + 4 * i
    const below = at + 2 * edge
    // −1 where covered, so that it is a mask for the sample as well.
    const a = -i32(load<u8>(mask + 2 * i) !== 0)
    const b = -i32(load<u8>(mask + 2 * i, 1) !== 0)
    const c = -i32(load<u8>(mask + edge + 2 * i) !== 0)
    const d = -i32(load<u8>(mask + edge + 2 * i, 1) !== 0)
    const count = -(a + b + c + d)
    const sum = (a & load<u16>(at)) + (b & load<u16>(at, 2)) + (c & load<u16>(below)) + (d & load<u16>(below, 2))
    let mean: f64 = 0
    if (count > 0) mean = countsAbsent ? (<f64>sum + <f64>(4 - count) * absentAs) / 4 : <f64>sum / <f64>count
    store<u16>(target + 2 * i, <i32>nearest(mean))
  }
}
