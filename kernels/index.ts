/** The kernels that src/kernels/wasm.ts calls. */
export { average } from './average'
export { encodeTile } from './encode-tile'
export { histogram } from './histogram'
export { decodeHuffman } from './huffman'
export { ARENA, GREY_TABLE, RECORDS } from './memory-map'
export { copy, sum } from './rectangle'
export { reduce } from './reduce'
export { shade } from './shade'
