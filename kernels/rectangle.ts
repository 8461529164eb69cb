/** Copy a rectangle; widths and strides in bytes. The two do not overlap. */
export function copy(target: u32, targetStride: u32, source: u32, sourceStride: u32, width: u32, height: u32): void {
  for (let y: u32 = 0; y < height; y++) {
    if (width < 16) {
      for (let x: u32 = 0; x < width; x++) store<u8>(target + x, load<u8>(source + x))
    } else {
      // The last sixteen may be copied in part for a second time.
      for (let x: u32 = 0; x + 16 < width; x += 16) v128.store(target + x, v128.load(source + x))
      v128.store(target + width - 16, v128.load(source + width - 16))
    }
    target += targetStride
    source += sourceStride
  }
}

/** A lane of 32 bits takes this many pairs of 16-bit samples. */
const MOST_STEPS: u32 = 0x8000

/** Sum of a rectangle of 16-bit samples; `stride` in bytes. */
export function sum(samples: u32, stride: u32, width: u32, height: u32): f64 {
  let total: u64 = 0
  let lanes = i32x4.splat(0)
  let steps: u32 = 0
  for (let y: u32 = 0; y < height; y++) {
    let x: u32 = 0
    for (; x + 8 <= width; x += 8) {
      lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(samples + 2 * x)))
      if (++steps === MOST_STEPS) {
        total += sumOfLanes(lanes)
        lanes = i32x4.splat(0)
        steps = 0
      }
    }
    for (; x < width; x++) total += load<u16>(samples + 2 * x)
    samples += stride
  }
  return <f64>(total + sumOfLanes(lanes))
}

function sumOfLanes(lanes: v128): u64 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_u(lanes), i64x2.extend_high_i32x4_u(lanes))
  return i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1)
}
