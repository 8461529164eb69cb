// Cells that look like some: nuclei, cytoplasm, membranes and spots, each in a channel; out of focus above and below the
// middle plane, and moving.

const EDGE = 384
/** 10 % overlap. */
const STEP = 346
const SIDE = EDGE + STEP
const PIXEL_UM = 0.16
const Z_PLANES = 5
const TIME_POINTS = 3
const CHANNELS = ['Membrane', 'Spots', 'Cytoplasm', 'Nuclei']
const BACKGROUND = 104
const CORNERS = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
]

/** Numbers 0 … 1 that are the same every time. */
function randomNumbers(seed) {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function makeCells() {
  const random = randomNumbers(7)
  const cells = []
  for (let tries = 0; tries < 400; tries++) {
    const radius = 38 + 26 * random()
    const [x, y] = [SIDE * random(), SIDE * random()]
    const isFree = cells.every(cell => Math.hypot(cell.x - x, cell.y - y) > 0.9 * (cell.radius + radius))
    const spots = Array.from({ length: 9 }, () => ({ angle: 2 * Math.PI * random(), share: 0.3 + 0.55 * random() }))
    const cell = {
      ...{ x, y, radius, spots },
      ...{ stretch: 0.75 + 0.4 * random(), angle: Math.PI * random(), glow: 0.5 + random() },
      drift: { x: 16 * (random() - 0.5), y: 16 * (random() - 0.5) },
    }
    if (isFree) cells.push(cell)
  }
  return cells
}

const bell = (distance, width) => Math.exp(-0.5 * (distance / width) ** 2)

/** Counts above the background that a cell adds. @param r distance from its middle, 1 at its rim. @param blur px */
const GLOW = {
  Membrane: (r, radius, blur) => 900 * bell((r - 1) * radius, 2 + blur),
  Cytoplasm: (r, radius, blur) => (r < 1.3 ? 520 / (1 + Math.exp(((r - 0.95) * radius) / (3 + blur))) : 0),
  Nuclei: (r, radius, blur) => 1500 / (1 + Math.exp(((r - 0.42) * radius) / (1.5 + blur))),
}

/** All frames of one channel, z-plane and time point as one picture of SIDE × SIDE. */
function paintField(cells, channel, zPlane, timePoint) {
  const field = new Float32Array(SIDE * SIDE).fill(BACKGROUND)
  const blur = 2.2 * Math.abs(zPlane - (Z_PLANES - 1) / 2)
  for (const { x, y, radius, stretch, angle, glow, drift, spots } of cells) {
    const centre = { x: x + timePoint * drift.x, y: y + timePoint * drift.y }
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
    const reach = Math.ceil(1.5 * radius + 4 * blur)
    const places = spots.map(spot => ({
      x: Math.cos(spot.angle) * spot.share * radius,
      y: Math.sin(spot.angle) * spot.share * radius * stretch,
    }))
    for (let row = Math.max(0, Math.floor(centre.y - reach)); row < Math.min(SIDE, centre.y + reach); row++) {
      for (
        let column = Math.max(0, Math.floor(centre.x - reach));
        column < Math.min(SIDE, centre.x + reach);
        column++
      ) {
        const along = (column - centre.x) * cos + (row - centre.y) * sin
        const across = (row - centre.y) * cos - (column - centre.x) * sin
        const light =
          channel === 'Spots'
            ? places.reduce((sum, spot) => sum + 1300 * bell(Math.hypot(along - spot.x, across - spot.y), 2 + blur), 0)
            : GLOW[channel](Math.hypot(along, across / stretch) / radius, radius, blur)
        field[row * SIDE + column] += (glow * light) / (1 + 0.25 * blur)
      }
    }
  }
  return field
}

/** A series for every time point, with 2 × 2 frames for every channel and z-plane. */
export function cellsSources() {
  const cells = makeCells()
  return Array.from({ length: TIME_POINTS }, (_, timePoint) => cellsAt(cells, timePoint))
}

function cellsAt(cells, timePoint) {
  const frames = []
  for (let zPlane = 0; zPlane < Z_PLANES; zPlane++)
    for (let channel = 0; channel < CHANNELS.length; channel++)
      for (const [column, row] of CORNERS) {
        const position = { xUm: 5000 + column * STEP * PIXEL_UM, yUm: 8000 + row * STEP * PIXEL_UM }
        const place = { position, stagePosition: position, corner: { column: column * STEP, row: row * STEP } }
        frames.push({ index: frames.length, ...place, channel, zPlane, timePoint: 0, stamp: '' })
      }
  const fields = new Map()
  const fieldOf = ({ channel, zPlane }) => {
    const key = `${channel} ${zPlane}`
    if (!fields.has(key)) fields.set(key, paintField(cells, CHANNELS[channel], zPlane, timePoint))
    return fields.get(key)
  }
  const random = randomNumbers(11 + timePoint)
  const name = `cells_${timePoint}`
  return {
    url: name,
    format: 'cells made up',
    series: {
      ...{ name: 'cells', frames, dataStartsAt: 0, frameSize: { width: EDGE, height: EDGE }, sampleType: 'uint16' },
      ...{ pixelSizeUm: { x: PIXEL_UM, y: PIXEL_UM }, channels: CHANNELS.map(name => ({ name })), zPlanes: Z_PLANES },
      ...{ darkLevel: 0, well: undefined, cameraRoi: { x: 0, y: 0 }, complete: true, problems: [], metadata: {} },
      fingerprint: name,
    },
    async readFrame(index) {
      const frame = frames[index]
      const field = fieldOf(frame)
      const samples = new Uint16Array(EDGE * EDGE)
      for (let i = 0; i < samples.length; i++) {
        const counts = field[(frame.corner.row + Math.floor(i / EDGE)) * SIDE + frame.corner.column + (i % EDGE)]
        // Noise as a camera has it: it grows with the root of the counts.
        samples[i] = Math.max(0, counts + Math.sqrt(counts) * (random() + random() + random() - 1.5))
      }
      return { width: EDGE, height: EDGE, sampleType: 'uint16', samples }
    },
    close: async () => undefined,
  }
}
