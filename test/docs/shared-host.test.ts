import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { parseArgsStringToArgv } from 'string-argv'
import t from 'tap'
import { buildSamplePlate } from '../server/sample-server.js'
import { blocksOf, startCommand, statusOf, withReal } from './page-commands.js'

const withOpenssl = { skip: spawnSync('openssl', ['version']).status === 0 ? (false as const) : 'there is no openssl' }
const PAGE = new URL('../../docs/shared-host.md', import.meta.url)

t.test('the commands of the page, and of its service, start servers that ask for the token', async t => {
  const plate = await buildSamplePlate(t)
  const ssd = dirname(plate)
  const folders = { '/ssd/plate_07': plate, '/ssd/plate_08': plate, '/ssd': ssd, $TILESTAGE_TOKEN: 'secret' }
  const lines = (await blocksOf(PAGE, 'sh')).join('').split('\n')
  const serve = lines.find(line => line.startsWith('tilestage serve ')) ?? ''
  const change = lines.find(line => line.startsWith('curl ')) ?? ''
  const [unit] = await blocksOf(PAGE, 'ini')
  const [, service = ''] = /^ExecStart=\S+\/(tilestage serve .*)$/m.exec(unit) ?? []

  for (const command of [serve, service]) {
    const args = parseArgsStringToArgv(withReal(command, folders)).slice(1)
    const [url] = (await startCommand(t, [...args, '--port', '0'], ssd, /\n/)).split('#')
    const real = { ...folders, 'http://microscope.lab:8979/': `http://127.0.0.1:${new URL(url).port}/` }
    const asked = parseArgsStringToArgv(withReal(change, real)).slice(1)
    t.equal(await statusOf(asked, ssd), 303, command)
    const withoutToken = asked.filter((arg, i) => arg !== '-H' && asked[i - 1] !== '-H')
    t.equal(await statusOf(withoutToken, ssd), 401, command)
  }
})

t.test('the token file of the service is for root only, and names the token', withOpenssl, async t => {
  const etc = join(t.testdir(), 'etc')
  mkdirSync(etc)
  const lines = (await blocksOf(PAGE, 'sh')).join('').split('\n')
  const [, script = ''] = /^sudo sh -c '(.*)'$/m.exec(lines.join('\n')) ?? []
  await promisify(execFile)('sh', ['-c', script.replaceAll('/etc', etc)])
  const { stdout } = await promisify(execFile)('sh', ['-c', `stat -c %a "$0"; cat "$0"`, join(etc, 'tilestage/token')])
  t.match(stdout, /^600\nTILESTAGE_TOKEN=[0-9a-f]{48}\n$/)
})
