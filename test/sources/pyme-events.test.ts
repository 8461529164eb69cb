import { readFileSync } from 'node:fs'
import t from 'tap'
import type { StagePosition } from '../../src/sources/frame-source.js'
import {
  type AcquisitionClock,
  type AcquisitionEvent,
  findStageMoves,
  parseEvents,
  placeFrames,
} from '../../src/sources/pyme/events.js'
import { readAcquisitionFacts } from '../../src/sources/pyme/metadata.js'

interface Scenario {
  name: string
  metadata: Record<string, number>
  n_frames: number
  events: [string, string, number][]
  x_event_frames?: number[]
  x_event_values?: number[]
  y_event_frames?: number[]
  x?: number[]
  y?: number[]
  error?: string
}

const { scenarios }: { scenarios: Scenario[] } = JSON.parse(
  readFileSync(new URL('../fixtures/pyme/event_mapping.json', import.meta.url), 'utf8'),
)

const clock = { startTimeS: 1000, cycleTimeS: 0.1 }
const home = { xUm: -1.5, yUm: -2.5 }

function event(name: string, description: string, timeS: number): AcquisitionEvent {
  return { name, description, timeS }
}

function mapEvents(
  events: readonly AcquisitionEvent[],
  clock: AcquisitionClock,
  before: StagePosition,
  frameNumbers: readonly number[],
  url: string,
): { positions: StagePosition[]; ignored: number } {
  const moves = findStageMoves(events, clock, url)
  return { positions: placeFrames(moves, before, frameNumbers), ignored: moves.ignored }
}

t.equal(scenarios.length, 21)

for (const scenario of scenarios) {
  t.test(`events are mapped to frames as PYME does: ${scenario.name}`, async t => {
    const events = scenario.events.map(([name, description, timeS]) => event(name, description, timeS))
    const { startTimeS, cycleTimeS, positionBeforeMoves } = readAcquisitionFacts(scenario.metadata)
    const clock = { startTimeS, cycleTimeS }
    if (!scenario.error) {
      const { x, y } = findStageMoves(events, clock, 'events.json')
      t.same(x.frames, scenario.x_event_frames)
      t.same(x.positionsUm, scenario.x_event_values ?? [])
      t.same(y.frames, scenario.y_event_frames)
    }
    const frameNumbers = Array.from({ length: scenario.n_frames }, (_, frame) => frame)
    const place = () => mapEvents(events, clock, positionBeforeMoves, frameNumbers, 'events.json')
    if (scenario.error) {
      t.throws(place, { name: 'UnsupportedDataError', message: /events\.json/ })
    } else {
      const { positions, ignored } = place()
      t.same(
        positions.map(position => position.xUm),
        scenario.x,
      )
      t.same(
        positions.map(position => position.yUm),
        scenario.y,
      )
      t.equal(ignored, 0)
    }
  })
}

t.test('a series without moves is refused, and the events that it has are named', async t => {
  const events = [event('StartAq', '0', 1000), event('ProtocolTask', '0, go', 1000), event('ScannerXPos', '1', 1000)]
  t.throws(() => mapEvents(events, clock, home, [0], 'a.pcs/events.json'), {
    message:
      'a.pcs/events.json holds no ScannerYPos event that says where the stage was; its events are ProtocolTask, ScannerXPos, StartAq.',
  })
  t.throws(() => mapEvents([], clock, home, [0], 'a.pcs/events.json'), {
    message: 'a.pcs/events.json holds no ScannerXPos event that says where the stage was; it holds no events at all.',
  })
})

t.test('without a start time or a cycle time above 0 events mean nothing', async t => {
  const events = [event('ScannerXPos', '1', 1000), event('ScannerYPos', '1', 1000)]
  for (const cycleTimeS of [undefined, 0, -1]) {
    t.throws(() => mapEvents(events, { startTimeS: 1000, cycleTimeS }, home, [0], 'e.json'), {
      message: 'The events of e.json cannot be matched to frames: the metadata has no usable Camera.CycleTime.',
    })
  }
  t.throws(() => mapEvents(events, { startTimeS: undefined, cycleTimeS: 1 }, home, [0], 'e.json'), {
    message: 'The events of e.json cannot be matched to frames: the metadata has no usable StartTime.',
  })
})

t.test('a description that is no number is ignored and counted', async t => {
  const events = [
    event('StartAq', 'zero', 1000),
    event('StartAq', '4.5', 1000),
    event('ScannerXPos', 'nan', 1000.1),
    event('ScannerXPos', '', 1000.2),
    event('ScannerXPos', '1e999', 1000.2),
    event('ScannerXPos', ' +1.5e1 ', 1000.35),
    event('ScannerYPos', '0x10', 1000.35),
    event('ScannerYPos', '-.5', 1000.35),
  ]
  const { positions, ignored } = mapEvents(events, clock, home, [2, 3], 'events.json')
  t.same(positions, [home, { xUm: 15, yUm: -0.5 }])
  t.equal(ignored, 4)
})

t.test('of two moves at one time the later logged one holds', async t => {
  const events = [event('ScannerXPos', '1', 1000), event('ScannerXPos', '2', 1000), event('ScannerYPos', '1', 1000)]
  t.same(mapEvents(events, clock, home, [0], 'events.json').positions, [{ xUm: 2, yUm: 1 }])
})

t.test('events.json is read as Python writes it, and what is no event is counted', async t => {
  const text = '[["StartAq", "0", 1.5], ["Note", "NaN \\" Infinity", 2], ["Late", "", NaN], ["short"], 7, ["A", 1, 2]]'
  t.same(parseEvents(Buffer.from(text), 'events.json'), {
    events: [event('StartAq', '0', 1.5), event('Note', 'NaN " Infinity', 2)],
    malformed: 4,
  })
  t.throws(() => parseEvents(Buffer.from('{}'), 'events.json'), { name: 'CorruptDataError', message: /events\.json/ })
  t.throws(() => parseEvents(Buffer.from('[["StartAq", "0"'), 'events.json'), { name: 'CorruptDataError' })
})

t.test('100,000 moves of a triggered camera are mapped without a scan of all anchors for each', async t => {
  const events: AcquisitionEvent[] = []
  for (let frame = 0; frame < 100_000; frame++) {
    events.push(event('StartAq', String(frame), 1000 + frame))
    events.push(event('ScannerXPos', String(frame), 1000.5 + frame), event('ScannerYPos', '0', 1000.5 + frame))
  }
  const { positions } = mapEvents(events, { startTimeS: 1000, cycleTimeS: 0.5 }, home, [1, 99_999], 'e.json')
  t.same(positions, [
    { xUm: 0, yUm: 0 },
    { xUm: 99_998, yUm: 0 },
  ])
})
