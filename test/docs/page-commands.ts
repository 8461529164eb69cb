import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseArgsStringToArgv } from 'string-argv'
import type { Test } from 'tap'
import { type RunOptions, tilestageProcess } from '../run-cli.js'

/** One command of a page: `curl … # STATUS`. */
export interface Example {
  readonly command: string
  readonly method: string
  readonly path: string
  readonly status: number
}

/** The text of every block of a language on a page of docs/, in order. */
export async function blocksOf(page: URL, language: string): Promise<string[]> {
  const text = await readFile(page, 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, block]) => block)
}

/**
 * The commands of a page.
 *
 * @param address what the page calls its server.
 */
export async function readExamples(page: URL, address: string): Promise<Example[]> {
  const lines = (await blocksOf(page, 'sh')).flatMap(block => block.replaceAll('\\\n', ' ').split('\n'))
  return lines.filter(line => line.startsWith('curl ')).map(line => parseExample(line, address))
}

/** @throws the line is not of the form that the page promises. */
function parseExample(line: string, address: string): Example {
  const [, command, status] = /^(curl .*?) +# (\d{3})$/.exec(line) ?? []
  if (!command) throw new Error(`${line} does not end in "# STATUS".`)
  const args = parseArgsStringToArgv(command)
  const url = args.find(arg => arg.startsWith(address))
  if (!url) throw new Error(`${line} does not ask ${address}.`)
  const named = args.indexOf('-X')
  const sendsBody = args.some(arg => /^(-d|--data.*|-F)$/.test(arg)) && !args.includes('-G')
  const method = named >= 0 ? args[named + 1] : args.includes('-I') ? 'HEAD' : sendsBody ? 'POST' : 'GET'
  return { command, method, path: new URL(url).pathname, status: Number(status) }
}

/** The arguments of curl with what is real in the place of what the page calls it. */
export function argumentsFor({ command }: Example, real: Readonly<Record<string, string>>): string[] {
  return parseArgsStringToArgv(withReal(command, real)).slice(1)
}

/** A text of a page with what is real in the place of what the page calls it; of names that overlap the first counts. */
export function withReal(text: string, real: Readonly<Record<string, string>>): string {
  const names = Object.keys(real).map(name => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return text.replace(new RegExp(names.join('|'), 'g'), name => real[name])
}

/** Run curl, or do what it would. @returns the status; of a stream that does not end, too. */
export async function statusOf(args: readonly string[], cwd: string): Promise<number> {
  const wanted = ['--silent', '--show-error', '--max-time', '300', '--write-out', '%{stderr}%{http_code}']
  try {
    const { stderr } = await promisify(execFile)('curl', [...wanted, ...args], {
      cwd,
      encoding: 'buffer',
      maxBuffer: 2 ** 28,
    })
    return Number(stderr.toString().slice(-3))
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: Buffer }
    if (code === 'ENOENT') return statusByFetch(args, cwd)
    const isUnending = args.includes('--max-time') && code === 28
    if (!isUnending) throw new Error(`curl ${args.join(' ')}: ${stderr}`)
    const status = Number(/(\d{3})$/.exec(String(stderr))?.[1])
    if (status > 0) return status
    // A busy machine may take longer to answer at all.
    const patient = args.map((arg, i) => (args[i - 1] === '--max-time' ? `${4 * Number(arg)}` : arg))
    return statusOf(patient, cwd)
  }
}

/** What the page's options of curl mean, for machines without it. */
export async function statusByFetch(args: readonly string[], cwd: string): Promise<number> {
  const headers = new Headers()
  const fields: string[] = []
  let url = new URL('http://unset.localhost')
  let method: string | undefined
  let isQuery = false
  for (let i = 0; i < args.length; i++) {
    const value = args[i + 1]
    switch (args[i]) {
      case '-X':
        method = value
        i++
        break
      case '-H':
        headers.append(value.split(':')[0], value.slice(value.indexOf(':') + 1).trim())
        i++
        break
      case '-d':
      case '--data-binary':
        fields.push(value.startsWith('@') ? await readFile(join(cwd, value.slice(1)), 'utf8') : value)
        i++
        break
      case '--data-urlencode':
        fields.push(value.replace(/=.*/s, text => `=${encodeURIComponent(text.slice(1))}`))
        i++
        break
      case '-G':
      case '--get':
        isQuery = true
        break
      case '-I':
        method = 'HEAD'
        break
      case '-o':
      case '--max-time':
        i++
        break
      default:
        if (args[i].startsWith('http')) url = new URL(args[i])
    }
  }
  const text = fields.join('&')
  if (isQuery) url.search = [url.search.slice(1), text].filter(Boolean).join('&')
  const sendsBody = fields.length > 0 && !isQuery
  if (sendsBody && !headers.has('content-type')) headers.set('content-type', 'application/x-www-form-urlencoded')
  const reply = await fetch(url, {
    method: method ?? (sendsBody ? 'POST' : 'GET'),
    headers,
    redirect: 'manual',
    ...(sendsBody && { body: text }),
  })
  await reply.body?.cancel()
  return reply.status
}

/**
 * Run a command of a page that does not end by itself, until the test ends; its token is `secret`.
 *
 * @returns what it printed, once that matches.
 */
export function startCommand(t: Test, args: readonly string[], cwd: string, wanted: RegExp): Promise<string> {
  const env = { TILESTAGE_TOKEN: 'secret', XDG_STATE_HOME: join(cwd, 'state'), XDG_CACHE_HOME: join(cwd, 'cache') }
  return new Promise((resolve, reject) => {
    let end = (): unknown => undefined
    const onOutput: RunOptions['onOutput'] = (stdout, child) => {
      end = () => child.kill('SIGINT')
      if (wanted.test(stdout)) resolve(stdout)
    }
    const ended = tilestageProcess(args, { cwd, env, onOutput }).then(({ stderr }) => reject(new Error(stderr)))
    t.teardown(() => [end(), ended][1])
  })
}
