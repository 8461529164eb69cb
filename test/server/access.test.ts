import t from 'tap'
import { isInside } from '../../src/is-inside.js'
import {
  type AccessPolicy,
  isHostAllowed,
  isLoopbackAddress,
  isLoopbackOrigin,
  isTokenValid,
  judgeStateChange,
  presentedToken,
  type RequestOrigin,
  requestedHost,
} from '../../src/server/access/access-policy.js'
import { WrongTokens } from '../../src/server/access/wrong-tokens.js'

const LOCAL: AccessPolicy = {
  loopback: true,
  token: undefined,
  isPrivate: false,
  corsOrigins: [],
  allowedHosts: [],
  machineName: 'Scope-PC',
  wrongTokens: new WrongTokens(),
}
const SHARED: AccessPolicy = { ...LOCAL, loopback: false, token: 'right' }

t.test('a Host header may be an address, localhost, this machine or an allowed host, at any port', async t => {
  for (const host of [
    '127.0.0.1:8979',
    '127.0.0.1',
    '10.1.2.3:80',
    '[::1]:8979',
    '[fe80::1]',
    'localhost',
    'LOCALHOST:1',
    'localhost.:8979',
    'plate.localhost:8979',
    'scope-pc:8979',
    'SCOPE-PC',
  ]) {
    t.ok(isHostAllowed(host, LOCAL), host)
  }
})

t.test('any other Host header is refused', async t => {
  for (const host of [
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'notlocalhost',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    'evil.example:127.0.0.1',
    '2130706433',
    '0x7f.1',
    '::1',
    '[::1',
    '[evil.example]',
    'localhost/..',
    'localhost:99999999',
    'scope-pc.evil.example',
    ' localhost',
    'local host',
  ]) {
    t.notOk(isHostAllowed(host, LOCAL), String(host))
  }
})

t.test('an absolute request target names the host, whatever the Host header says', async t => {
  t.equal(requestedHost('/healthz?a=//evil', 'localhost:1'), 'localhost:1')
  t.equal(requestedHost('*', 'localhost'), 'localhost')
  t.equal(requestedHost('http://evil.com:80/healthz', 'localhost'), 'evil.com')
  t.equal(requestedHost('https://[::1]:7/', undefined), '[::1]:7')
  t.equal(requestedHost('evil.com:443', 'localhost'), '', 'a target that is no URL with a host names none')
})

t.test('allowed hosts are compared by name, and * allows every one', async t => {
  const policy = { ...LOCAL, allowedHosts: ['hub.example.org', 'Other.example:8443'] }
  t.ok(isHostAllowed('hub.example.org:443', policy))
  t.ok(isHostAllowed('HUB.example.org', policy))
  t.ok(isHostAllowed('other.example', policy))
  t.notOk(isHostAllowed('evil.hub.example.org', policy))
  t.ok(isHostAllowed('anything.example', { ...LOCAL, allowedHosts: ['*'] }))
  t.notOk(isHostAllowed('not a host', { ...LOCAL, allowedHosts: ['*'] }))
})

t.test('loopback is 127.0.0.0/8, ::1 and localhost', async t => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', '[::1]', 'localhost', 'a.localhost']) {
    t.ok(isLoopbackAddress(host), host)
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'scope-pc', '127.0.0.1.evil.example', '']) {
    t.notOk(isLoopbackAddress(host), host)
  }
})

t.test('pages of this machine may read, pages of others may not', async t => {
  for (const origin of ['http://localhost:8888', 'https://127.0.0.1', 'http://[::1]:1', 'http://lab.localhost']) {
    t.ok(isLoopbackOrigin(origin), origin)
  }
  for (const origin of [
    undefined,
    'null',
    'http://evil.example',
    'file://',
    'ftp://localhost',
    'localhost:8888',
    'http://',
  ]) {
    t.notOk(isLoopbackOrigin(origin), String(origin))
  }
})

const NOTHING: RequestOrigin = {
  host: '127.0.0.1:8979',
  secFetchSite: undefined,
  origin: undefined,
  referer: undefined,
}

t.test('on loopback, the headers of a browser decide who may change the source', async t => {
  const own = 'http://127.0.0.1:8979'
  const cases: [Partial<RequestOrigin>, 'pass' | 'cross-site'][] = [
    [{}, 'pass'],
    [{ secFetchSite: 'same-origin' }, 'pass'],
    [{ secFetchSite: 'none' }, 'pass'],
    [{ secFetchSite: 'same-site' }, 'cross-site'],
    [{ secFetchSite: 'cross-site' }, 'cross-site'],
    [{ secFetchSite: '' }, 'cross-site'],
    [{ secFetchSite: 'same-origin, cross-site' }, 'cross-site'],
    [{ secFetchSite: 'cross-site', origin: own }, 'cross-site'],
    [{ secFetchSite: 'same-origin', origin: 'http://evil.example' }, 'pass'],
    [{ origin: own }, 'pass'],
    [{ origin: 'http://127.0.0.1:8980' }, 'cross-site'],
    [{ origin: 'http://localhost:8979' }, 'cross-site'],
    [{ origin: 'http://evil.example' }, 'cross-site'],
    [{ origin: 'null' }, 'cross-site'],
    [{ origin: '' }, 'cross-site'],
    [{ origin: 'http://evil.example', referer: `${own}/` }, 'cross-site'],
    [{ referer: `${own}/?pyramid=1` }, 'pass'],
    [{ referer: 'http://evil.example/127.0.0.1:8979' }, 'cross-site'],
    [{ referer: 'http://127.0.0.1:8979@evil.example/' }, 'cross-site'],
    [{ host: 'localhost', origin: 'http://localhost:80' }, 'pass'],
    [{ host: 'localhost:80', origin: 'http://localhost' }, 'pass'],
    [{ host: 'hub.example', origin: 'https://hub.example' }, 'pass'],
    [{ host: 'hub.example:443', origin: 'https://hub.example' }, 'pass'],
    [{ host: 'HUB.example', origin: 'https://hub.example' }, 'pass'],
    [{ host: undefined, origin: own }, 'cross-site'],
    [{ host: 'a b', origin: 'http://a b' }, 'cross-site'],
  ]
  for (const [headers, verdict] of cases) {
    t.equal(judgeStateChange({ ...NOTHING, ...headers }, undefined, LOCAL), verdict, JSON.stringify(headers))
  }
})

t.test('a valid token passes whatever the headers say, a wrong one counts as none', async t => {
  const evil = { ...NOTHING, secFetchSite: 'cross-site', origin: 'http://evil.example' }
  t.equal(judgeStateChange(evil, 'right', SHARED), 'pass')
  t.equal(judgeStateChange(evil, 'right', { ...LOCAL, token: 'right' }), 'pass')
  t.equal(judgeStateChange(evil, 'wrong', { ...LOCAL, token: 'right' }), 'cross-site')
  t.equal(judgeStateChange(NOTHING, 'wrong', { ...LOCAL, token: 'right' }), 'pass')
})

t.test('where others can reach the server, nothing but the token passes', async t => {
  for (const token of [undefined, '', 'wrong', 'righ', 'rightt', 'Right']) {
    t.equal(judgeStateChange({ ...NOTHING, secFetchSite: 'same-origin' }, token, SHARED), 'token needed', String(token))
  }
})

t.test('no token is valid where none or an empty one is set', async t => {
  t.notOk(isTokenValid('', ''))
  t.notOk(isTokenValid('x', undefined))
  t.notOk(isTokenValid(undefined, 'x'))
  t.ok(isTokenValid('x', 'x'))
})

t.test('the token comes from its header, the Authorization header or the query', async t => {
  t.equal(presentedToken({ 'x-tilestage-token': 'a', authorization: 'Bearer b' }, { token: 'c' }), 'a')
  t.equal(presentedToken({ authorization: 'Bearer b' }, { token: 'c' }), 'b')
  t.equal(presentedToken({ authorization: 'bearer  b' }, {}), 'b')
  t.equal(presentedToken({ authorization: 'Basic b' }, { token: 'c' }), 'c')
  t.equal(presentedToken({}, { token: ['c', 'd'] }), undefined)
  t.equal(presentedToken({}, {}), undefined)
})

t.test('inside means the folder itself or below it', async t => {
  const cases: [string, string, boolean][] = [
    ['/data', '/data', true],
    ['/data/run1/plate', '/data', true],
    ['/data/..plate', '/data', true],
    ['/data/..', '/data', false],
    ['/database', '/data', false],
    ['/', '/data', false],
    ['/data', '/', true],
    ['/other', '/data', false],
  ]
  for (const [path, folder, inside] of cases) t.equal(isInside(path, folder), inside, `${path} in ${folder}`)
})
