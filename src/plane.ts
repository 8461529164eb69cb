/** Width and height in pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** A half-open rectangle of pixels: columns x0 … x1 − 1, rows y0 … y1 − 1. */
export interface Rect {
  readonly x0: number
  readonly y0: number
  readonly x1: number
  readonly y1: number
}

/** The box around both; `a` is undefined for the first of many. */
export function unite(a: Rect | undefined, b: Rect): Rect {
  if (!a) return b
  return { x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0), x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1) }
}

/** What both share; empty or turned inside out where that is nothing. */
export function intersect(a: Rect, b: Rect): Rect {
  return { x0: Math.max(a.x0, b.x0), y0: Math.max(a.y0, b.y0), x1: Math.min(a.x1, b.x1), y1: Math.min(a.y1, b.y1) }
}

/** Whether two rectangles share a pixel. */
export function touches(a: Rect, b: Rect): boolean {
  return a.x0 < b.x1 && a.x1 > b.x0 && a.y0 < b.y1 && a.y1 > b.y0
}

/** The pixels of its level that a level-0 rectangle touches: outwards rounded, as coverage is. */
export function rectAtLevel(rect: Rect, level: number): Rect {
  const scale = 2 ** level
  return {
    x0: Math.floor(rect.x0 / scale),
    y0: Math.floor(rect.y0 / scale),
    x1: Math.ceil(rect.x1 / scale),
    y1: Math.ceil(rect.y1 / scale),
  }
}

export type SampleType = 'uint8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'float64'

export type SampleArray = Uint8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array

/** One 2-D image plane, row-major: the sample at (row, column) is `samples[row * width + column]`. */
export interface Plane extends Size {
  readonly sampleType: SampleType
  readonly samples: SampleArray
}

interface SampleTypeFacts {
  readonly bytes: number
  readonly integer: boolean
  /** Smallest and largest value of an integer type; ±Infinity for floats. */
  readonly min: number
  readonly max: number
}

export const SAMPLE_TYPES: Readonly<Record<SampleType, SampleTypeFacts>> = {
  uint8: { bytes: 1, integer: true, min: 0, max: 255 },
  uint16: { bytes: 2, integer: true, min: 0, max: 65535 },
  int16: { bytes: 2, integer: true, min: -32768, max: 32767 },
  uint32: { bytes: 4, integer: true, min: 0, max: 4294967295 },
  int32: { bytes: 4, integer: true, min: -2147483648, max: 2147483647 },
  float32: { bytes: 4, integer: false, min: -Infinity, max: Infinity },
  float64: { bytes: 8, integer: false, min: -Infinity, max: Infinity },
}

/** What samples of each type are kept in. */
export const SAMPLE_ARRAYS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const

/** A zeroed array of `length` samples. */
export function allocateSamples(type: SampleType, length: number): SampleArray {
  return new SAMPLE_ARRAYS[type](length)
}

/** The same bytes seen as samples; copies only where the alignment asks for it. Both sides are little endian. */
export function samplesFromBytes(type: SampleType, bytes: Uint8Array): SampleArray {
  const { bytes: size } = SAMPLE_TYPES[type]
  if (bytes.byteLength % size !== 0)
    throw new RangeError(`${bytes.byteLength} bytes are no whole number of ${type} samples`)
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  return new SAMPLE_ARRAYS[type](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size)
}

/** Room for `length` samples: at the beginning of the memory that is given, which keeps what it holds, else zeros of their own. */
export function samplesIn(type: SampleType, length: number, into: Uint8Array | undefined): SampleArray {
  return into
    ? samplesFromBytes(type, into.subarray(0, length * SAMPLE_TYPES[type].bytes))
    : allocateSamples(type, length)
}

/** The samples seen as bytes, without a copy. */
export function bytesOfSamples(samples: SampleArray): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)
}

/**
 * The smallest stored type that holds every value of all `types` exactly.
 * float64 where there is none smaller.
 */
export function commonSampleType(types: readonly SampleType[]): SampleType {
  const wanted = types.map(type => SAMPLE_TYPES[type])
  const order: SampleType[] = ['uint8', 'int16', 'uint16', 'int32', 'uint32', 'float32', 'float64']
  if (types.length > 0 && types.every(type => type === types[0])) return types[0]
  const holds = (candidate: SampleType): boolean => {
    const facts = SAMPLE_TYPES[candidate]
    return wanted.every(type => {
      if (facts.integer) return type.integer && type.min >= facts.min && type.max <= facts.max
      // float32 holds integers of up to 24 bits, float64 of up to 53.
      return type.integer ? type.bytes <= (candidate === 'float32' ? 2 : 4) : type.bytes <= facts.bytes
    })
  }
  return order.find(holds) ?? 'float64'
}
