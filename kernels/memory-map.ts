/**
 * Where the kernels keep what they work with. Fixed addresses are constants of the machine code, so that inner loops
 * need no registers for them. From `ARENA` on the memory belongs to the caller.
 */

/** Two Huffman streams are decoded side by side. Each has a slot of this size with its tables and its state. */
export const SLOT_BYTES: u32 = 0x9000
export const SLOT_A: u32 = 0
export const SLOT_B: u32 = SLOT_BYTES

/** 4096 × u32: a slot's lookup table in the making, one symbol an entry. */
export const SINGLE_LOOKUP: u32 = 0x12000
/** 512 × u32 and 256 × u8: branches of a tree that are still to be read, and the symbols it has had. */
export const OPEN_BRANCHES: u32 = 0x16000
export const SEEN_SYMBOLS: u32 = 0x16800
/** 4096 × u32: the last place of four bytes, by their hash. */
export const MATCH_TABLE: u32 = 0x17000
/** 1024 × 16 bytes: what a call is about, written by the caller: streams to decode, or frames to blend. */
export const RECORDS: u32 = 0x1b000
/** 1024 × 16 bytes: the current row of each blended frame. */
export const ROWS: u32 = 0x1f000
/** 1024² bytes: the high bytes of the tile being encoded. */
export const HIGH_PLANE: u32 = 0x23000

export const ARENA: u32 = 0x123000
