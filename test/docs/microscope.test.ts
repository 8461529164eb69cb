import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseArgsStringToArgv } from 'string-argv'
import t from 'tap'
import { PLATE } from '../run-cli.js'
import { argumentsFor, blocksOf, readExamples, startCommand, statusOf, withReal } from './page-commands.js'

const PYTHON = process.env.TILESTAGE_PYTHON ?? '/usr/bin/python3'
const PAGE = new URL('../../docs/microscope.md', import.meta.url)

/** What the page calls its server. */
const ADDRESS = 'http://microscope.lab:8979/'

t.test('what the page tells the programmer of a microscope works', async t => {
  const cwd = await realpath(await mkdtemp(join(tmpdir(), 'tilestage-')))
  t.teardown(() => rm(cwd, { recursive: true }))
  const places = { $TOKEN: 'secret', '/data/plate_07': PLATE, '/data': dirname(PLATE), '/ssd': cwd }
  const lines = (await blocksOf(PAGE, 'sh')).join('').split('\n')
  const [serve, watch] = lines
    .filter(line => line.startsWith('tilestage '))
    .map(line => parseArgsStringToArgv(withReal(line, places)).slice(1))

  const [url] = (await startCommand(t, [...serve, '--port', '0'], cwd, /\n/)).split('#')
  const address = `http://127.0.0.1:${new URL(url).port}/`
  const ask = async (path: string, body?: unknown) => {
    const headers = { 'x-tilestage-token': 'secret', 'content-type': 'application/json' }
    const post = { method: 'POST', headers, body: JSON.stringify(body) }
    return (await fetch(address + path, body === undefined ? {} : post)).json()
  }
  let id = ''
  for (const example of await readExamples(PAGE, ADDRESS)) {
    if (example.command.includes('/ssd/plate_08'))
      await startCommand(t, [...watch, '--progress', 'json'], cwd, /"started"/)
    const args = argumentsFor(example, { ...places, [ADDRESS]: address, $ID: id })
    t.equal(await statusOf(args, cwd), example.status, example.command)
    id ||= (await ask('builds/1')).id
    while ((await ask('builds/1')).state === 'running') await setTimeout(100)
  }
  t.ok(existsSync(join(cwd, 'crop.npy')))
  t.equal((await ask('current')).current.id, id)

  const [block] = await blocksOf(PAGE, 'python')
  const script = withReal(block, { ...places, [ADDRESS]: address, '"…"': '"secret"' })
  const inPython = async (): Promise<string> => (await promisify(execFile)(PYTHON, ['-c', script])).stdout
  t.match(await inPython(), /^75 of 75 frames\nnucleus lies in the middle .*\nuint16 \(15[34], 15[34]\) \d+\n$/m)

  // A mark in the middle of a frame leads back to where the stage was for that frame.
  const plate = `pyramids/${(await ask('builds/2')).id}`
  const frame = (await ask(`${plate}/placement`)).frames[8]
  const pixel = (await ask(plate)).pixelSizeUm
  const half = (frame.rect.x1 - frame.rect.x0 - 1) / 2
  const mark = { x: frame.positionUm.x + half * pixel.x, y: frame.positionUm.y + half * pixel.y, name: 'mark' }
  await ask(`${plate}/rois`, mark)
  const [, x, y, type, height, width, largest] =
    /^mark .* stage (\S+) (\S+)\n(\w+) \((\d+), (\d+)\) (\d+)$/m.exec(await inPython()) ?? []
  t.ok(Math.abs(Number(x) - frame.stageUm.x) < 1e-6 && Math.abs(Number(y) - frame.stageUm.y) < 1e-6)
  const { count, max } = await ask(`${plate}/stats?x=${mark.x - 25}&y=${mark.y - 25}&w=50&h=50`)
  t.same([type, Number(height) * Number(width), Number(largest) - 100], ['uint16', count, max])
  t.equal((await ask(`${plate}/rois`)).rois.at(-1).name, 'nucleus')
})
