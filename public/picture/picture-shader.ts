import { COLOUR_MAP_NAMES, COLOUR_STEPS } from '../../src/render/colour-maps.js'
import type { TexelKind } from './tile-texels.js'

const PRECISION = `
#ifdef GL_FRAGMENT_PRECISION_HIGH
precision highp float;
#else
precision mediump float;
#endif
`

export const TILE_VERTEX_SHADER = `
attribute vec2 a_textureCoord;
uniform mat4 u_tileTransform;
uniform float u_depth;
varying vec2 v_textureCoord;

void main() {
  v_textureCoord = a_textureCoord;
  gl_Position = u_tileTransform * vec4(a_textureCoord, u_depth, 1.0);
}`

/** Bytes become the stored value again: 255 · low/255 + 256 · 255 · high/255. */
const VALUE_OF_TEXEL: Readonly<Record<TexelKind, string>> = {
  bytes: 'texel.r * 255.0 + texel.g * 65280.0',
  floats: 'texel.r',
}

/** One tile: samples through window, gamma and colour map; uncovered samples stay transparent, failed tiles are hatched. */
export function tileFragmentShader(kind: TexelKind): string {
  return `${PRECISION}
varying vec2 v_textureCoord;
uniform sampler2D u_tileTextures[1];
uniform sampler2D u_colours;
uniform float u_black;
uniform float u_white;
uniform float u_gamma;
uniform float u_colourMap;
uniform float u_inverted;
uniform float u_hatchPx;
uniform vec3 u_hatchColour;
uniform vec3 u_voidColour;
uniform float u_transitionAlpha;

void main() {
  vec4 texel = texture2D(u_tileTextures[0], v_textureCoord);
  if (texel.a < 0.25) discard;
  if (texel.a < 0.75) {
    float stripe = step(0.75 * u_hatchPx, mod(gl_FragCoord.x + gl_FragCoord.y, u_hatchPx));
    gl_FragColor = vec4(mix(u_voidColour, u_hatchColour, stripe), 1.0) * u_transitionAlpha;
    return;
  }
  float value = ${VALUE_OF_TEXEL[kind]};
  float shown = clamp((value - u_black) / (u_white - u_black), 0.0, 1.0);
  // pow(0, gamma) is undefined on some drivers.
  shown = shown > 0.0 ? pow(shown, u_gamma) : 0.0;
  shown = mix(shown, 1.0 - shown, u_inverted);
  float column = floor(shown * ${COLOUR_STEPS - 1}.0 + 0.5) + 0.5 + u_colourMap * ${COLOUR_STEPS}.0;
  gl_FragColor = texture2D(u_colours, vec2(column / ${COLOUR_STEPS * COLOUR_MAP_NAMES.length}.0, 0.5));
  gl_FragColor *= u_transitionAlpha;
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
