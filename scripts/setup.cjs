'use strict'
// Everything a fresh clone needs before `npm start` and `npm test`: packages, a build, and for tests a browser.
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
    stdio: 'inherit',
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
    ['ci', '--no-audit', '--no-fund', '--loglevel=error'],
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
function findBrowser() {
  var candidates = [
    process.env.TILESTAGE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome'
  ]
  candidates.push('/Applications/Google Chrome.app/Contents/MacOS/Google Chrome')
  return candidates.filter(file => file && fs.existsSync(file))[0]
}

function provideBrowser() {
  if (findBrowser()) return
  var isRoot = process.getuid && process.getuid() === 0
  if (isRoot && fs.existsSync('/usr/bin/apt-get')) {
    console.error('tilestage: installing Chromium for the browser tests …')
    var environment = Object.assign({}, process.env, { DEBIAN_FRONTEND: 'noninteractive' })
    childProcess.spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env: environment })
    childProcess.spawnSync(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: environment
      }
    )
  }
  if (!findBrowser()) {
    fail(
      'the browser tests need Chromium: install it (Debian: sudo apt-get install chromium) or name one with TILESTAGE_CHROMIUM.'
    )
  }
}

checkNode()
var stamp = readStamp()
var packages = install(stamp)
var built = build(stamp)
fs.writeFileSync(stampFile, JSON.stringify({ packages: packages, build: built }))
if (forTests) provideBrowser()
