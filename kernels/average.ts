import { RECORDS, ROWS } from './memory-map'

/** A record: where the cell's first sample lies and the bytes from row to row, its first weight in x, its first in y. */
const RECORD_BYTES: u32 = 16
const STRIDE: u32 = 4
const WEIGHTS_X: u32 = 8
const WEIGHTS_Y: u32 = 12

// In ROWS, for every frame: where the current row lies, its weights in x, its weight in y.
const ROW_WEIGHT: u32 = 8

/** Added to a number below 2^51 it leaves the whole number, rounded half to even, in the lowest bits. */
const ROUNDER: f64 = 4503599627370496

/**
 * Weighted mean of `count` frames in a rectangle of 16-bit samples, rounded half to even.
 *
 * @param stride bytes from row to row of the target.
 */
export function average(target: u32, stride: u32, width: u32, height: u32, count: u32): void {
  // Then Σ weight fits 16 bits and Σ weight · sample 32.
  const small = largestTotalWeight(width, height, count) <= 0xffff
  for (let y: u32 = 0; y < height; y++) {
    for (let i: u32 = 0; i < count; i++) {
      const record = RECORDS + i * RECORD_BYTES
      const row = ROWS + i * RECORD_BYTES
      store<u32>(row, load<u32>(record) + y * load<u32>(record, STRIDE))
      store<u32>(row, load<u32>(record, WEIGHTS_X), 4)
      store<u32>(row, load<u16>(load<u32>(record, WEIGHTS_Y) + 2 * y), ROW_WEIGHT)
    }
    if (small && width >= 8) averageRow(target, width, count)
    else averageRowSlowly(target, width, count)
    target += stride
  }
}

function largestTotalWeight(width: u32, height: u32, count: u32): u64 {
  let total: u64 = 0
  for (let i: u32 = 0; i < count; i++) {
    const record = RECORDS + i * RECORD_BYTES
    total += <u64>largest(load<u32>(record, WEIGHTS_X), width) * largest(load<u32>(record, WEIGHTS_Y), height)
  }
  return total
}

function largest(weights: u32, count: u32): u32 {
  let found: u32 = 0
  let i: u32 = 0
  if (count >= 8) {
    let many = i16x8.splat(0)
    for (; i + 8 <= count; i += 8) many = i16x8.max_u(many, v128.load(weights + 2 * i))
    many = i16x8.max_u(many, i16x8.shuffle(many, many, 4, 5, 6, 7, 0, 1, 2, 3))
    many = i16x8.max_u(many, i16x8.shuffle(many, many, 2, 3, 0, 1, 6, 7, 4, 5))
    found = max<u32>(i16x8.extract_lane_u(many, 0), i16x8.extract_lane_u(many, 1))
  }
  for (; i < count; i++) found = max<u32>(found, load<u16>(weights + 2 * i))
  return found
}

/** Eight samples at a time; the last eight may do some of those before them once more. */
function averageRow(target: u32, width: u32, count: u32): void {
  const end = ROWS + count * RECORD_BYTES
  let x: u32 = 0
  for (;;) {
    let weights = i16x8.splat(0)
    let low = i32x4.splat(0)
    let high = i32x4.splat(0)
    for (let row = ROWS; row < end; row += RECORD_BYTES) {
      const samples = v128.load(load<u32>(row) + 2 * x)
      const weight = i16x8.mul(v128.load(load<u32>(row, 4) + 2 * x), v128.load16_splat(row, ROW_WEIGHT))
      weights = i16x8.add(weights, weight)
      low = i32x4.add(low, i32x4.extmul_low_i16x8_u(samples, weight))
      high = i32x4.add(high, i32x4.extmul_high_i16x8_u(samples, weight))
    }
    v128.store(
      target + 2 * x,
      i16x8.narrow_i32x4_u(
        divide(low, i32x4.extend_low_i16x8_u(weights)),
        divide(high, i32x4.extend_high_i16x8_u(weights)),
      ),
    )
    if (x + 8 >= width) break
    x = min(x + 8, width - 8)
  }
}

/** Four quotients below 2^16, rounded half to even. A float64 holds every sum, and no quotient is so close to a half
 * that its rounding could make it one. */
function divide(sums: v128, weights: v128): v128 {
  const rounder = f64x2.splat(ROUNDER)
  const first = f64x2.div(f64x2.convert_low_i32x4_u(sums), f64x2.convert_low_i32x4_s(weights))
  const last = f64x2.div(
    f64x2.convert_low_i32x4_u(i32x4.shuffle(sums, sums, 2, 3, 2, 3)),
    f64x2.convert_low_i32x4_s(i32x4.shuffle(weights, weights, 2, 3, 2, 3)),
  )
  return i32x4.shuffle(f64x2.add(first, rounder), f64x2.add(last, rounder), 0, 2, 4, 6)
}

function averageRowSlowly(target: u32, width: u32, count: u32): void {
  const end = ROWS + count * RECORD_BYTES
  for (let x: u32 = 0; x < width; x++) {
    let weights: f64 = 0
    let sum: f64 = 0
    for (let row = ROWS; row < end; row += RECORD_BYTES) {
      const weight = <f64>load<u16>(load<u32>(row, 4) + 2 * x) * <f64>load<u32>(row, ROW_WEIGHT)
      weights += weight
      sum += weight * <f64>load<u16>(load<u32>(row) + 2 * x)
    }
    store<u16>(target + 2 * x, <u32>nearest(sum / weights))
  }
}
