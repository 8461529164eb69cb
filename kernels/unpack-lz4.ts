const LEAST_MATCH: u32 = 4

/**
 * Unpack one LZ4 block.
 *
 * @param length of the block; nothing behind it is looked at that matters.
 * @param capacity bytes that the block must hold; nothing behind them is written to.
 * @returns whether it held exactly those.
 */
export function unpackLz4(source: u32, length: u32, target: u32, capacity: u32): bool {
  const sourceEnd = source + length
  const targetEnd = target + capacity
  let at = source
  let output = target
  while (at < sourceEnd) {
    const token = load<u8>(at++)
    let literals: u32 = token >> 4
    if (literals === 15) {
      let more: u32
      do {
        if (at >= sourceEnd) return false
        more = load<u8>(at++)
        literals += more
      } while (more === 255)
    }
    if (literals > sourceEnd - at || literals > targetEnd - output) return false
    // Most runs are short: sixteen bytes at once, where there is room for them, cost less than a call.
    if (literals <= 16 && targetEnd - output >= 16) v128.store(output, v128.load(at))
    else memory.copy(output, at, literals)
    at += literals
    output += literals
    // The last sequence has no match.
    if (at === sourceEnd) return output === targetEnd
    if (sourceEnd - at < 2) return false
    const distance: u32 = load<u16>(at)
    at += 2
    let run: u32 = (token & 15) + LEAST_MATCH
    if (run === 15 + LEAST_MATCH) {
      let more: u32
      do {
        if (at >= sourceEnd) return false
        more = load<u8>(at++)
        run += more
      } while (more === 255)
    }
    if (distance === 0 || distance > output - target || run > targetEnd - output) return false
    repeat(output, distance, run, targetEnd)
    output += run
  }
  return false
}

/** Continue what begins `distance` bytes before `output`, which the run itself may reach into. */
function repeat(output: u32, distance: u32, run: u32, targetEnd: u32): void {
  const end = output + run
  if (distance === 1) {
    const byte = load<u8>(output - 1)
    if (run <= 16 && targetEnd - output >= 16) v128.store(output, i8x16.splat(byte))
    else memory.fill(output, byte, run)
    return
  }
  // What repeats after so many bytes repeats after twice as many: eight at a time need a distance of eight.
  let span = distance
  for (; span < 8 && output < end; span += distance) {
    for (const next = min(output + distance, end); output < next; output++)
      store<u8>(output, load<u8>(output - distance))
  }
  if (span >= 16) {
    for (; output < end && targetEnd - output >= 16; output += 16) v128.store(output, v128.load(output - span))
  } else {
    for (; output < end && targetEnd - output >= 8; output += 8) store<u64>(output, load<u64>(output - span))
  }
  for (; output < end; output++) store<u8>(output, load<u8>(output - distance))
}
