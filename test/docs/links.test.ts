import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** How a heading is linked to: lower case, without punctuation, hyphens for blanks. */
function anchorsOf(page: string): string[] {
  const headings = readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

t.test('every link between pages leads to a file, and to a heading of it', async t => {
  const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'src/sources/README.md', 'bench/RESULTS.md'].concat(
    readdirSync(join(ROOT, 'docs'))
      .filter(name => name.endsWith('.md'))
      .map(name => `docs/${name}`),
  )
  let links = 0
  for (const page of pages) {
    const text = readFileSync(join(ROOT, page), 'utf8').replace(/^```.*?^```$/gms, '')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      links++
      const [path, anchor] = target.split('#')
      const file = path === '' ? join(ROOT, page) : resolve(join(ROOT, dirname(page)), path)
      if (!existsSync(file)) t.fail(`${page} links to ${target}, which does not exist`)
      else if (anchor !== undefined && statSync(file).isFile() && !anchorsOf(file).includes(anchor))
        t.fail(`${page} links to ${target}; there is no such heading`)
    }
  }
  t.ok(links > 50, `${links} links`)
})
