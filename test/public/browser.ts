import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import sharp from 'sharp'

const CHROMIUM_PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
/** The page stays silent about the network, and draws WebGL without a graphics card. */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-swiftshader',
]
const READY_TIMEOUT_MS = 60_000
/** Without a graphics card every pixel costs time: where nobody looks at them, few do for the same layout. */
export const COARSE = { deviceScaleFactor: 0.25 }
/** For tests that look at pixels: the smallest window in which the panels lie beside the picture. */
export const SHARP = { viewport: { width: 1010, height: 600 }, deviceScaleFactor: 1 }
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

const page = (name: string): string => fileURLToPath(new URL(`../../public/${name}`, import.meta.url))

/** Start the Chromium that the set-up script found or installed. @param flags besides the usual ones. */
export function launchBrowser(flags: readonly string[] = []): Promise<Browser> {
  const executablePath = process.env.TILESTAGE_CHROMIUM ?? CHROMIUM_PLACES.find(place => existsSync(place))
  if (!executablePath) throw new Error('There is no Chromium; npm test installs it, or TILESTAGE_CHROMIUM names one.')
  return chromium.launch({ executablePath, args: [...FLAGS, ...flags] })
}

/** Bundle the page as it is in the working tree, so that a test never sees an older one. */
export async function bundlePage(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  await build({
    entryPoints: ['viewer.ts', 'viewer.css', 'grid/grid.ts', 'grid/grid.css'].map(page),
    outdir: folder,
    entryNames: '[name]',
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
  })
  await copyFile(page('index.html'), join(folder, 'index.html'))
  await copyFile(page('grid/grid.html'), join(folder, 'grid.html'))
  return folder
}

/** A page with everything that it asked for and complained about. */
export interface OpenPage {
  readonly page: Page
  /** URLs in the order of the requests. */
  readonly requests: string[]
  /** Uncaught exceptions and what was logged as an error. */
  readonly errors: string[]
}

/**
 * Open a URL in a window of its own, of few pixels unless `options` say otherwise.
 *
 * @param blocked pattern of URLs that the page cannot reach.
 */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  blocked?: string,
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width: 1200, height: 1000 },
    reducedMotion: 'reduce',
    ...COARSE,
    ...options,
  })
  const page = await context.newPage()
  const opened: OpenPage = { page, requests: [], errors: [] }
  page.on('request', request => opened.requests.push(request.url()))
  page.on('pageerror', error => opened.errors.push(`${error.stack ?? error}`))
  page.on('console', message => message.type() === 'error' && opened.errors.push(message.text()))
  if (blocked) await page.route(blocked, route => route.abort())
  await page.goto(url)
  await untilReady(page)
  return opened
}

/** Wait until everything that was asked for is drawn. */
export async function untilReady(page: Page): Promise<void> {
  await page.evaluate(
    timeoutMs =>
      new Promise<void>((resolve, reject) => {
        const root = document.documentElement
        const observer = new MutationObserver(look)
        function look(): void {
          if (root.dataset.ready !== '1') return
          observer.disconnect()
          resolve()
        }
        setTimeout(() => reject(new Error('The page did not become ready.')), timeoutMs)
        // What was just done shows its effect on readiness within a frame.
        requestAnimationFrame(() =>
          requestAnimationFrame(() => {
            observer.observe(root, { attributeFilter: ['data-ready'] })
            look()
          }),
        )
      }),
    READY_TIMEOUT_MS,
  )
}

export interface Screen {
  readonly width: number
  /** Three bytes a pixel, row-major. */
  readonly rgb: Buffer
}

/** What is on the screen, device pixel by device pixel. */
export async function readScreen(page: Page): Promise<Screen> {
  const { data, info } = await sharp(await page.screenshot())
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { width: info.width, rgb: data }
}
