import { SAMPLE_TYPES, type SampleType, type Size } from '../plane.js'

interface Lengths {
  readonly x: number
  readonly y: number
}

/** What OME metadata says of a picture: planes in the order channel, z-plane, time point, each a page of its own. */
export interface OmePicture extends Size {
  readonly name: string
  readonly sampleType: SampleType
  /** Names of the channels. */
  readonly channels: readonly string[]
  readonly zPlanes: number
  readonly timePoints: number
  /** Undefined where nobody knows it. */
  readonly pixelSizeUm?: Lengths
  /** Stage position of the centre of the first pixel, µm. */
  readonly positionUm?: Lengths
  /** Kept as key and value. */
  readonly facts: Readonly<Record<string, string>>
}

const OME_TYPES: Readonly<Record<SampleType, string>> = {
  uint8: 'uint8',
  uint16: 'uint16',
  int16: 'int16',
  uint32: 'uint32',
  int32: 'int32',
  float32: 'float',
  float64: 'double',
}

/** `SampleFormat` of a TIFF: unsigned, signed, or floating point. */
export function tiffSampleFormat(sampleType: SampleType): number {
  const { integer, min } = SAMPLE_TYPES[sampleType]
  return integer ? (min === 0 ? 1 : 2) : 3
}

/** OME-XML of the OME 2016-06 model, in ASCII, as TIFF wants its texts. */
export function omeXml(picture: OmePicture): string {
  const { name, width, height, sampleType, channels, zPlanes, timePoints, pixelSizeUm, positionUm, facts } = picture
  const um = toAscii('µm')
  const planes = Array.from({ length: channels.length * zPlanes * timePoints }, (_, page) => ({
    page,
    c: page % channels.length,
    z: Math.floor(page / channels.length) % zPlanes,
    t: Math.floor(page / (channels.length * zPlanes)),
  }))
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">',
    `<Image ID="Image:0" Name="${escapeXml(name)}">`,
    `<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="${OME_TYPES[sampleType]}" BigEndian="false"`,
    ` SizeX="${width}" SizeY="${height}" SizeC="${channels.length}" SizeZ="${zPlanes}" SizeT="${timePoints}"`,
    pixelSizeUm ? ` PhysicalSizeX="${pixelSizeUm.x}" PhysicalSizeXUnit="${um}"` : '',
    pixelSizeUm ? ` PhysicalSizeY="${pixelSizeUm.y}" PhysicalSizeYUnit="${um}">` : '>',
    ...channels.map((channel, i) => `<Channel ID="Channel:0:${i}" Name="${escapeXml(channel)}" SamplesPerPixel="1"/>`),
    ...planes.map(
      ({ page, c, z, t }) => `<TiffData FirstC="${c}" FirstZ="${z}" FirstT="${t}" IFD="${page}" PlaneCount="1"/>`,
    ),
    ...(positionUm
      ? planes.map(
          ({ c, z, t }) =>
            `<Plane TheC="${c}" TheZ="${z}" TheT="${t}" PositionX="${positionUm.x}" PositionXUnit="${um}"` +
            ` PositionY="${positionUm.y}" PositionYUnit="${um}"/>`,
        )
      : []),
    '</Pixels><AnnotationRef ID="Annotation:0"/></Image>',
    '<StructuredAnnotations><MapAnnotation ID="Annotation:0" Namespace="tilestage"><Value>',
    ...Object.entries(facts).map(([key, value]) => `<M K="${escapeXml(key)}">${escapeXml(value)}</M>`),
    '</Value></MapAnnotation></StructuredAnnotations></OME>',
  ].join('')
}

export function escapeXml(text: string): string {
  const named = text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`)
  // Characters that XML 1.0 does not have at all.
  return toAscii(named.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD'))
}

/** Other characters as XML writes them by number. */
export function toAscii(text: string): string {
  return text.replace(/\P{ASCII}/gu, character => `&#${character.codePointAt(0)};`)
}
