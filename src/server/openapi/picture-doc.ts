import { COLOUR_MAP_NAMES } from '../../render/colour-maps.js'
import { STRETCHES } from '../../render/style.js'
import type { ParameterDocs } from './route-doc.js'

/** What `readPictureStyle` reads. */
export const PICTURE_PARAMETERS = {
  channel: { type: 'integer', list: true, description: 'Channels that are shown; their colours add up.', fallback: 0 },
  depth: { type: 'integer', description: 'The z-plane.', fallback: 0 },
  t: { type: 'integer', description: 'The time point.', fallback: 0 },
  min: {
    type: 'number',
    list: true,
    description:
      'The stored value shown darkest, for each channel or one for all, or a percentile of the channel such as p0.1; by itself from the histogram of the channel.',
    example: 100,
  },
  max: { type: 'number', list: true, description: 'The stored value shown brightest, likewise.', example: 1000 },
  gamma: {
    type: 'number',
    list: true,
    description: 'Brightness is taken to this power.',
    min: 0.01,
    max: 100,
    fallback: 1,
  },
  stretch: {
    type: 'string',
    list: true,
    description: 'How brightness grows from min to max; the same for the whole layer, so neighbouring tiles agree.',
    values: STRETCHES,
    fallback: 'linear',
  },
  lut: {
    type: 'string',
    list: true,
    description: `Colours: ${COLOUR_MAP_NAMES.join(', ')}, or six hex digits for black to that colour. Grey for one channel, else the channels' own.`,
    example: 'viridis',
  },
  invert: { type: 'boolean', list: true, description: '1 turns the colours around.', fallback: '0' },
  background: {
    type: 'string',
    description:
      'Six hex digits, drawn where nothing was imaged; by itself png and webp are transparent there, and jpg is black.',
  },
  quality: { type: 'integer', description: 'Of jpg and webp.', min: 1, max: 100, fallback: 85 },
} as const satisfies ParameterDocs

export const VERSION_DOC = {
  v: { type: 'string', description: 'The version that `/pyramids/{id}` or `/coverage` tells.' },
} as const satisfies ParameterDocs
