import { COLOUR_MAP_NAMES, COLOUR_STEPS } from '../../src/render/colour-maps.js'
import { LOG_SCALE } from '../../src/render/style.js'
import { RING, type TexelKind } from './tile-texels.js'

const PRECISION = `
#ifdef GL_FRAGMENT_PRECISION_HIGH
precision highp float;
#else
precision mediump float;
#endif
`

/** As numbers for the shader. */
export const STRETCH_NUMBERS = { linear: 0, sqrt: 1, log: 2 } as const

export const TILE_VERTEX_SHADER = `
attribute vec2 a_textureCoord;
uniform mat4 u_tileTransform;
uniform float u_depth;
varying vec2 v_textureCoord;

void main() {
  v_textureCoord = a_textureCoord;
  gl_Position = u_tileTransform * vec4(a_textureCoord, u_depth, 1.0);
}`

/** Bytes become the stored value again, exactly: 255 · low/255 + 256 · 255 · high/255. */
const VALUE_OF_TEXEL: Readonly<Record<TexelKind, string>> = {
  bytes: 'floor(texel.r * 255.0 + texel.g * 65280.0 + 0.5)',
  floats: 'texel.r',
}

/** What a shader has to do. There is one of each kind: what is only branched around costs time where there is no graphics card. */
export interface ShaderTasks {
  readonly channels: number
  /** Interpolate between samples. */
  readonly isSmooth: boolean
  /** A stretch other than linear, or a gamma other than 1. */
  readonly isCurved: boolean
  /** Levels of wells. */
  readonly hasOwnLevels: boolean
}

/**
 * One tile of several channels: samples through window, stretch, gamma and colours, which add up. Where no channel has
 * a sample it stays transparent, failed tiles are hatched.
 */
export function tileFragmentShader(kind: TexelKind, tasks: ShaderTasks): string {
  const { channels, isSmooth, isCurved, hasOwnLevels } = tasks
  return `${PRECISION}
#define CHANNELS ${channels}
#define IS_SMOOTH ${Number(isSmooth)}
#define IS_CURVED ${Number(isCurved)}
#define HAS_OWN_LEVELS ${Number(hasOwnLevels)}

const float LAST_STEP = ${COLOUR_STEPS - 1}.0;
const vec3 BELOW = vec3(47.0, 107.0, 255.0) / 255.0;
const vec3 ABOVE = vec3(255.0, 59.0, 48.0) / 255.0;

varying vec2 v_textureCoord;
uniform sampler2D u_tileTextures[1];
/** Samples along a side of the tile, and channels in its texture. */
uniform float u_tileSize;
uniform float u_stacked;

/** Of each channel: black, white, gamma, stretch. */
uniform vec4 u_levels[CHANNELS];
/** Of each channel: its place in the texture, its colour map (below 0: none), whether it is inverted. */
uniform vec4 u_colouring[CHANNELS];
/** Of each channel without a map: its brightest colour, 0 to 255. */
uniform vec3 u_brightest[CHANNELS];
uniform sampler2D u_colours;

uniform bool u_marksClipped;
uniform float u_markPx;
uniform float u_hatchPx;
uniform vec3 u_hatchColour;
uniform vec3 u_voidColour;
uniform float u_transitionAlpha;

#if HAS_OWN_LEVELS
/** Upper left corner of the tile and length of its sides, level-0 pixels. */
uniform vec2 u_tileOrigin;
uniform float u_tileSpan;
/** Columns and rows of the index, and level-0 pixels along a side of its cells. */
uniform vec3 u_wellCells;
uniform sampler2D u_wellIndex;
/** Columns and rows of the table. */
uniform vec2 u_wellTableSize;
uniform sampler2D u_wellTable;
#endif

/** Spots are columns and rows of a tile; those of its ring are -1 and its size. */
vec4 texelAt(vec2 spot, float place) {
  float side = u_tileSize + ${2 * RING}.0;
  vec2 at = spot + ${RING}.5 + vec2(0.0, place * side);
  return texture2D(u_tileTextures[0], at / vec2(side, u_stacked * side));
}

float valueOf(vec4 texel) {
  return ${VALUE_OF_TEXEL[kind]};
}

#if IS_SMOOTH
/** Between the four samples around a point, as far as they are covered. */
float interpolated(vec2 point, float place) {
  vec2 first = floor(point - 0.5);
  vec2 share = point - 0.5 - first;
  float sum = 0.0;
  float weights = 0.0;
  for (int y = 0; y < 2; y++) {
    for (int x = 0; x < 2; x++) {
      vec2 corner = vec2(x, y);
      vec4 texel = texelAt(first + corner, place);
      vec2 near = mix(1.0 - share, share, corner);
      float weight = texel.a < 0.75 ? 0.0 : near.x * near.y;
      if (weight > 0.0) sum += weight * valueOf(texel);
      weights += weight;
    }
  }
  return sum / weights;
}
#endif

#if IS_CURVED
float stretched(float t, float stretch) {
  if (stretch == ${STRETCH_NUMBERS.sqrt}.0) return sqrt(t);
  if (stretch == ${STRETCH_NUMBERS.log}.0) return log(1.0 + ${LOG_SCALE}.0 * t) / log(${LOG_SCALE + 1}.0);
  return t;
}
#endif

#if HAS_OWN_LEVELS
vec4 wellEntry(float column, float well) {
  return texture2D(u_wellTable, (vec2(column, well) + 0.5) / u_wellTableSize);
}

bool isInWell(float well, vec2 pixel) {
  vec4 rect = wellEntry(0.0, well);
  return all(greaterThanEqual(pixel, rect.xy)) && all(lessThan(pixel, rect.zw));
}

/** The first well that a sample lies in, by its place in the table; below 0: none. */
float wellAt(vec2 spot) {
  vec2 pixel = u_tileOrigin + (spot + 0.5) * (u_tileSpan / u_tileSize);
  vec4 cell = floor(texture2D(u_wellIndex, (floor(pixel / u_wellCells.z) + 0.5) / u_wellCells.xy) * 255.0 + 0.5);
  float first = cell.r + 256.0 * cell.g - 1.0;
  float second = cell.b + 256.0 * cell.a - 1.0;
  if (first >= 0.0 && isInWell(first, pixel)) return first;
  return second >= 0.0 && isInWell(second, pixel) ? second : -1.0;
}
#endif

vec3 colourOf(float shown, vec4 colouring, vec3 brightest) {
  float colour = floor(shown * LAST_STEP + 0.5);
  if (colouring.y < 0.0) return floor(brightest * colour / LAST_STEP + 0.5) / 255.0;
  float column = colour + 0.5 + colouring.y * ${COLOUR_STEPS}.0;
  return texture2D(u_colours, vec2(column / ${COLOUR_STEPS * COLOUR_MAP_NAMES.length}.0, 0.5)).rgb;
}

void main() {
  vec2 point = v_textureCoord * u_tileSize;
  vec2 spot = min(floor(point), u_tileSize - 1.0);
#if HAS_OWN_LEVELS
  float well = wellAt(spot);
#endif
  vec3 sum = vec3(0.0);
  bool isCovered = false;
  bool isBelow = false;
  bool isAbove = false;
  for (int i = 0; i < CHANNELS; i++) {
    vec4 colouring = u_colouring[i];
    vec4 texel = texelAt(spot, colouring.x);
    if (texel.a < 0.25) continue;
    if (texel.a < 0.75) {
      float stripe = step(0.75 * u_hatchPx, mod(gl_FragCoord.x + gl_FragCoord.y, u_hatchPx));
      gl_FragColor = vec4(mix(u_voidColour, u_hatchColour, stripe), 1.0) * u_transitionAlpha;
      return;
    }
    isCovered = true;
    vec4 levels = u_levels[i];
#if HAS_OWN_LEVELS
    if (well >= 0.0) {
      vec4 own = wellEntry(float(i) + 1.0, well);
      if (own.w > 0.0) levels.xyz = own.xyz;
    }
#endif
    float value = valueOf(texel);
    isBelow = isBelow || value < levels.x;
    isAbove = isAbove || value > levels.y;
#if IS_SMOOTH
    value = interpolated(point, colouring.x);
#endif
    float shown = clamp((value - levels.x) / (levels.y - levels.x), 0.0, 1.0);
#if IS_CURVED
    // pow(0, gamma) is undefined on some drivers.
    shown = shown > 0.0 ? pow(stretched(shown, levels.w), levels.z) : 0.0;
#endif
    sum += colourOf(mix(shown, 1.0 - shown, colouring.z), colouring, u_brightest[i]);
  }
  if (!isCovered) discard;
  if (u_marksClipped && (isBelow || isAbove)) {
    vec2 square = floor(gl_FragCoord.xy / u_markPx);
    if (mod(square.x + square.y, 2.0) == 0.0) sum = isAbove ? ABOVE : BELOW;
  }
  gl_FragColor = vec4(min(sum, 1.0), 1.0) * u_transitionAlpha;
}`
}

export const BORDER_VERTEX_SHADER = `
attribute vec2 a_position;

void main() {
  gl_Position = vec4(a_position, 0.0, 1.0);
}`

/**
 * The finished picture, with a line of one screen pixel along the border of the covered area. The line lies outside:
 * no sample is painted over. The image is filtered linearly, so even at a pixel's centre its neighbour shines through a
 * little: what is not covered has an alpha of nearly 0.
 */
export const BORDER_FRAGMENT_SHADER = `${PRECISION}
uniform sampler2D u_image;
uniform vec2 u_pixel;
uniform vec3 u_borderColour;
uniform float u_opacity;

float coverage(float x, float y) {
  return texture2D(u_image, (gl_FragCoord.xy + vec2(x, y)) * u_pixel).a;
}

void main() {
  vec4 here = texture2D(u_image, gl_FragCoord.xy * u_pixel);
  if (here.a < 0.002) {
    float near = coverage(1.0, 0.0) + coverage(-1.0, 0.0) + coverage(0.0, 1.0) + coverage(0.0, -1.0);
    here = vec4(u_borderColour, 1.0) * min(1.0, near);
  }
  gl_FragColor = here * u_opacity;
}`
