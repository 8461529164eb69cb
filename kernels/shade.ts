import { GREY_TABLE } from './memory-map'

/** Grey of 16-bit samples from GREY_TABLE, which holds those of `first` … `first + range`; what is outside takes the nearest. */
export function shade(samples: u32, length: u32, first: u32, range: u32, target: u32): void {
  const firsts = i16x8.splat(<i16>first)
  const ranges = i16x8.splat(<i16>range)
  let i: u32 = 0
  for (; i + 8 <= length; i += 8) {
    const at = i16x8.min_u(i16x8.sub_sat_u(v128.load(samples + 2 * i), firsts), ranges)
    const low = i64x2.extract_lane(at, 0)
    const high = i64x2.extract_lane(at, 1)
    const greys =
      <u64>grey(low) |
      ((<u64>grey(low >> 16)) << 8) |
      ((<u64>grey(low >> 32)) << 16) |
      ((<u64>grey(low >> 48)) << 24) |
      ((<u64>grey(high)) << 32) |
      ((<u64>grey(high >> 16)) << 40) |
      ((<u64>grey(high >> 32)) << 48) |
      ((<u64>grey(high >> 48)) << 56)
    store<u64>(target + i, greys)
  }
  for (; i < length; i++) {
    const sample = <u32>load<u16>(samples + 2 * i)
    store<u8>(target + i, load<u8>(sample < first ? 0 : min(sample - first, range), GREY_TABLE))
  }
}

function grey(at: u64): u8 {
  return load<u8>(<u32>at & 0xffff, GREY_TABLE)
}
