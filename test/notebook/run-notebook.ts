import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLI } from '../run-cli.js'

const NOTEBOOK = fileURLToPath(new URL('../../examples/multiwell_tile_display.ipynb', import.meta.url))
export const PYTHON = process.env.TILESTAGE_PYTHON ?? '/usr/bin/python3'

interface Output {
  readonly output_type: string
  readonly text?: string | readonly string[]
  readonly data?: Readonly<Record<string, string | readonly string[]>>
  readonly traceback?: readonly string[]
}

interface Cell {
  readonly id: string
  readonly source: string | readonly string[]
  readonly outputs?: readonly Output[]
}

export interface Notebook {
  readonly cells: readonly Cell[]
}

/** What whoever ran a notebook sees below its cells. */
export interface Executed {
  /** What was printed. */
  readonly printed: string
  /** Pictures, bars and frames, as HTML. */
  readonly html: string
  /** Undefined where it ran to its end. */
  readonly failure: string | undefined
}

const joined = (text: string | readonly string[] = ''): string => (typeof text === 'string' ? text : text.join(''))

/** What the first cell says instead, as Python, by name. */
export type Settings = Readonly<Record<string, string>>

/**
 * Write the notebook into a folder, with other values in its first cell, as a user writes them there.
 *
 * @param runs one for each time that all cells are run, in one kernel.
 */
export function editNotebook(folder: string, ...runs: readonly Settings[]): string {
  const notebook = JSON.parse(readFileSync(NOTEBOOK, 'utf8')) as Notebook
  const cells = runs.flatMap((settings, run) =>
    notebook.cells.map(cell => {
      const source = cell.id === 'settings' ? edited(joined(cell.source), settings) : cell.source
      return { ...cell, id: `${cell.id}-${run}`, source }
    }),
  )
  const path = join(folder, 'plate.ipynb')
  writeFileSync(path, JSON.stringify({ ...notebook, cells }))
  return path
}

function edited(source: string, settings: Settings): string {
  let text = source
  for (const [name, value] of Object.entries(settings)) {
    const line = new RegExp(`^${name} = .*$`, 'm')
    if (!line.test(text)) throw new Error(`the first cell does not set ${name}`)
    text = text.replace(line, () => `${name} = ${value}`)
  }
  return text
}

/** What a notebook needs of its surroundings: the program of this clone, and nothing of the user's own Jupyter. */
export function notebookEnvironment(folder: string): Record<string, string | undefined> {
  const none = { JUPYTERHUB_SERVICE_PREFIX: undefined, VSCODE_PROXY_URI: undefined, TILESTAGE_TOKEN: undefined }
  return {
    ...none,
    TILESTAGE: `'${process.execPath}' '${CLI}'`,
    HOME: folder,
    JUPYTER_RUNTIME_DIR: join(folder, 'runtime'),
    PYDEVD_DISABLE_FILE_VALIDATION: '1',
  }
}

/**
 * Run all cells of the notebook, in the folder.
 *
 * @param runs one for each time that they are run, in one kernel. @param onStarted gets the process that starts it.
 * @returns what each run showed.
 */
export async function runNotebook(
  folder: string,
  runs: readonly Settings[],
  environment: Readonly<Record<string, string>> = {},
  onStarted?: (jupyter: ChildProcess) => void,
): Promise<Executed[]> {
  const path = editNotebook(folder, ...runs)
  const patience = ['startup', 'iopub'].map(what => `--ExecutePreprocessor.${what}_timeout=300`)
  const options = ['--to', 'notebook', '--execute', '--allow-errors', ...patience, '--output', 'executed.ipynb', path]
  const child = spawn(PYTHON, ['-m', 'nbconvert', ...options], {
    cwd: folder,
    env: { ...process.env, ...notebookEnvironment(folder), ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onStarted?.(child)
  let said = ''
  child.stderr.on('data', text => {
    said += text
  })
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(`nbconvert ended with status ${status}: ${said}`)
  const executed = JSON.parse(readFileSync(join(folder, 'executed.ipynb'), 'utf8')) as Notebook
  return runs.map((_, run) => {
    const outputs = executed.cells.filter(({ id }) => id.endsWith(`-${run}`)).flatMap(cell => cell.outputs ?? [])
    return {
      printed: outputs.map(({ text }) => joined(text)).join(''),
      html: outputs.map(({ data }) => joined(data?.['text/html'])).join('\n'),
      failure: outputs.find(({ output_type }) => output_type === 'error')?.traceback?.join('\n'),
    }
  })
}

/** The server that a notebook says it has started. */
export function startedProcess(printed: string): number | undefined {
  const number = /`kill (\d+)`/.exec(printed)?.[1]
  return number === undefined ? undefined : Number(number)
}
