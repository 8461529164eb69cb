/** Eight bytes of a mask where all is covered: 0x01 each. */
const ALL_COVERED: u64 = u64.MAX_VALUE / 0xff

/** Add each covered 16-bit sample to its count (65,536 × u32). No mask (0): all are covered. */
export function histogram(samples: u32, length: u32, mask: u32, counts: u32): void {
  const whole = length & ~7
  if (mask === 0) {
    countRun(samples, samples + 2 * whole, counts)
  } else {
    let i: u32 = 0
    while (i < whole) {
      const start = i
      const covered = load<u64>(mask + i)
      i += 8
      if (covered === ALL_COVERED) {
        while (i < whole && load<u64>(mask + i) === ALL_COVERED) i += 8
        countRun(samples + 2 * start, samples + 2 * i, counts)
      } else if (covered !== 0) {
        countEach(samples, start, i, mask, counts)
      }
    }
  }
  countEach(samples, whole, length, mask, counts)
}

/** Count the samples of a run, whose length is a multiple of eight. */
function countRun(at: u32, end: u32, counts: u32): void {
  for (; at < end; at += 16) {
    const first = load<u64>(at)
    const last = load<u64>(at, 8)
    increment(counts, first & 0xffff)
    increment(counts, (first >> 16) & 0xffff)
    increment(counts, (first >> 32) & 0xffff)
    increment(counts, first >> 48)
    increment(counts, last & 0xffff)
    increment(counts, (last >> 16) & 0xffff)
    increment(counts, (last >> 32) & 0xffff)
    increment(counts, last >> 48)
  }
}

function countEach(samples: u32, start: u32, end: u32, mask: u32, counts: u32): void {
  for (let i = start; i < end; i++) if (mask === 0 || load<u8>(mask + i)) increment(counts, load<u16>(samples + 2 * i))
}

function increment(counts: u32, sample: u64): void {
  const count = counts + 4 * <u32>sample
  store<u32>(count, load<u32>(count) + 1)
}
