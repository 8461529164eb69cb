/** The entry of a table (65,536 × u8) for each 16-bit sample. */
export function lookUp(samples: u32, length: u32, table: u32, target: u32): void {
  let i: u32 = 0
  for (; i + 8 <= length; i += 8) {
    const low = load<u64>(samples + 2 * i)
    const high = load<u64>(samples + 2 * i, 8)
    const found =
      entry(table, low) |
      (entry(table, low >> 16) << 8) |
      (entry(table, low >> 32) << 16) |
      (entry(table, low >> 48) << 24) |
      (entry(table, high) << 32) |
      (entry(table, high >> 16) << 40) |
      (entry(table, high >> 32) << 48) |
      (entry(table, high >> 48) << 56)
    store<u64>(target + i, found)
  }
  for (; i < length; i++) store<u8>(target + i, load<u8>(table + load<u16>(samples + 2 * i)))
}

function entry(table: u32, sample: u64): u64 {
  return load<u8>(table + (<u32>sample & 0xffff))
}
