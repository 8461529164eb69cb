import type { Plane } from '../../plane.js'
import { expectFrameKind } from './frame-shape.js'
import { decodePzf, type PzfPlan, planPzfDecode } from './pzf.js'
import type { FrameKind } from './series-files.js'

/**
 * Decode the PZF file of a frame.
 *
 * @param url what messages call it. @throws as `decodePzf` and `expectFrameKind`.
 */
export function decodeFrame(bytes: Uint8Array, url: string, kind: FrameKind, index: number): Plane {
  const { width, height, sampleType, samples } = decodePzf(bytes, url, header =>
    expectFrameKind(header, kind, index, url),
  )
  return { width, height, sampleType, samples }
}

/** As `decodeFrame`, up to the Huffman codes. @throws as `planPzfDecode` and `expectFrameKind`. */
export function planFrame(bytes: Uint8Array, url: string, kind: FrameKind, index: number): PzfPlan {
  return planPzfDecode(bytes, url, header => expectFrameKind(header, kind, index, url))
}
