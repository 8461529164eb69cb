'use strict'
// Everything a fresh clone needs before `npm start` and `npm test`: packages, a build, and for tests a browser and Jupyter.
// Old syntax and no packages on purpose: it must be able to say that Node is too old.

var childProcess = require('child_process')
var crypto = require('crypto')
var fs = require('fs')
var path = require('path')

var LEAST_NODE = [20, 19]
var root = path.dirname(__dirname)
var stampFile = path.join(root, 'node_modules', '.tilestage-setup.json')
var forTests = process.argv.indexOf('--test') !== -1

function fail(message) {
  console.error('tilestage: ' + message)
  process.exit(1)
}

function run(command, args, whatFailed) {
  var result = childProcess.spawnSync(command, args, {
    cwd: root,
    // The standard output belongs to whoever asked for the set-up: `npm pack --json` prints its list there.
    stdio: ['inherit', 2, 'inherit'],
    shell: process.platform === 'win32'
  })
  if (result.error || result.status !== 0) fail(whatFailed)
}

function hashOf(files) {
  var hash = crypto.createHash('sha256')
  files.forEach(file => {
    hash.update(file).update(fs.readFileSync(file))
  })
  return hash.digest('hex')
}

/** Every file below the folders, in a fixed order. */
function filesBelow(folders) {
  var found = []
  folders.forEach(folder => {
    fs.readdirSync(folder, { withFileTypes: true }).forEach(entry => {
      var file = path.join(folder, entry.name)
      if (entry.isDirectory()) found = found.concat(filesBelow([file]))
      else found.push(file)
    })
  })
  return found.sort()
}

function readStamp() {
  try {
    return JSON.parse(fs.readFileSync(stampFile, 'utf8'))
  } catch (error) {
    return {}
  }
}

function checkNode() {
  var version = process.versions.node.split('.').map(Number)
  var old = version[0] < LEAST_NODE[0] || (version[0] === LEAST_NODE[0] && version[1] < LEAST_NODE[1])
  if (old) {
    fail(
      'Node ' +
        process.versions.node +
        ' is too old; ' +
        LEAST_NODE.join('.') +
        ' or newer is needed (https://nodejs.org).'
    )
  }
}

function install(stamp) {
  var lock = path.join(root, 'package-lock.json')
  var wanted = hashOf([lock]) + ' ' + process.versions.modules + ' ' + process.platform + ' ' + process.arch
  if (stamp.packages === wanted) return wanted
  console.error('tilestage: installing packages …')
  run(
    'npm',
    // The build needs all of them, also below `npm pack --dry-run` and where NODE_ENV is production.
    ['ci', '--include=dev', '--no-dry-run', '--no-audit', '--no-fund', '--loglevel=error'],
    'the packages could not be installed; the messages above say why (offline, perhaps).'
  )
  return wanted
}

function build(stamp) {
  var sources = filesBelow(['src', 'kernels', 'public', 'scripts'].map(name => path.join(root, name)))
  var wanted = hashOf(sources.concat(path.join(root, 'tsconfig.json'), path.join(root, 'package.json')))
  if (stamp.build === wanted && fs.existsSync(path.join(root, 'dist', 'cli.js'))) return wanted
  console.error('tilestage: building …')
  run(process.execPath, [path.join(root, 'scripts', 'build.mjs')], 'the build failed; the messages above say where.')
  return wanted
}

/** The browser tests drive Debian's Chromium; TILESTAGE_CHROMIUM names another one. */
var CHROMIUM_PLACES = [
  process.env.TILESTAGE_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
]

/** The tests of notebooks and of the Python in docs/ run Debian's Python; TILESTAGE_PYTHON names another one. */
var PYTHON = process.env.TILESTAGE_PYTHON || '/usr/bin/python3'

/** Modules that these tests import, and the Debian packages that bring each and its command. */
var PYTHON_MODULES = {
  notebook: ['jupyter-notebook'],
  nbconvert: ['jupyter-nbconvert', 'python3-nbconvert'],
  ipykernel: ['python3-ipykernel'],
  jupyter_client: ['python3-jupyter-client'],
  requests: ['python3-requests'],
  numpy: ['python3-numpy'],
  numcodecs: ['python3-numcodecs']
}

function hasBrowser() {
  return CHROMIUM_PLACES.some(file => file && fs.existsSync(file))
}

/** Names of the modules that Python does not find; all of them where there is no Python. */
function missingModules() {
  var names = Object.keys(PYTHON_MODULES)
  var script = 'import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if not u.find_spec(n)])'
  var result = childProcess.spawnSync(PYTHON, ['-c', script].concat(names), { encoding: 'utf8' })
  return result.status === 0 ? result.stdout.split(/\s+/).filter(Boolean) : names
}

/** What the tests need beside the packages of npm and is not there: what it is for, what it is, how Debian calls it. */
function missingNeeds() {
  var needs = []
  if (!hasBrowser()) {
    needs.push({
      sentence: 'the browser tests need Chromium (TILESTAGE_CHROMIUM names one that is elsewhere)',
      packages: ['chromium', 'fonts-dejavu-core']
    })
  }
  var modules = missingModules()
  if (modules.length > 0) {
    needs.push({
      sentence:
        'the notebook and Python tests need ' +
        modules.join(', ') +
        ' in ' +
        PYTHON +
        ' (TILESTAGE_PYTHON names another Python)',
      packages: process.env.TILESTAGE_PYTHON ? [] : modules.reduce((all, name) => all.concat(PYTHON_MODULES[name]), [])
    })
  }
  return needs
}

function packagesOf(needs) {
  return needs.reduce((all, need) => all.concat(need.packages), [])
}

function provideForTests() {
  var needs = missingNeeds()
  var isRoot = process.getuid && process.getuid() === 0
  var wanted = packagesOf(needs)
  if (wanted.length > 0 && isRoot && fs.existsSync('/usr/bin/apt-get')) {
    console.error('tilestage: installing ' + wanted.join(' ') + ' for the tests …')
    var environment = Object.assign({}, process.env, { DEBIAN_FRONTEND: 'noninteractive' })
    childProcess.spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env: environment })
    childProcess.spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends'].concat(wanted), {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: environment
    })
    needs = missingNeeds()
    wanted = packagesOf(needs)
  }
  if (needs.length === 0) return
  var onDebian = wanted.length > 0 ? ' On Debian: sudo apt-get install --no-install-recommends ' + wanted.join(' ') : ''
  fail(needs.map(need => need.sentence).join(', and ') + '.' + onDebian)
}

checkNode()
var stamp = readStamp()
var packages = install(stamp)
var built = build(stamp)
fs.writeFileSync(stampFile, JSON.stringify({ packages: packages, build: built }))
if (forTests) provideForTests()
