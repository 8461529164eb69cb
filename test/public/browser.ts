import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import {
  type Browser,
  type BrowserContextOptions,
  type CDPSession,
  type ConsoleMessage,
  chromium,
  type Page,
  type Request,
  type ViewportSize,
} from 'playwright-core'
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
/** How long anything may take on a machine that has much else to do. */
const TIMEOUT_MS = 120_000
/** Without a graphics card every pixel costs time: where nobody looks at them, few do for the same layout. */
export const COARSE = { deviceScaleFactor: 0.25 }
/** For tests that look at pixels: the smallest window in which the panels lie beside the picture. */
export const SHARP = { viewport: { width: 1010, height: 600 }, deviceScaleFactor: 1 }
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = (name: string): string => join(root, 'public', name)

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

/**
 * The page as it is in the working tree, bundled by whichever test asks for it first and kept for all others.
 *
 * @returns its folder, named after all that it may be made of.
 */
export async function pageBundle(): Promise<string> {
  const made = createHash('sha256').update(await readFile(join(root, 'package-lock.json')))
  for (const part of ['public', 'src']) {
    const entries = await readdir(join(root, part), { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
    for (const file of files.sort()) made.update(file).update(await readFile(file))
  }
  const bundles = join(root, '.tap/page')
  const name = made.digest('hex').slice(0, 16)
  const folder = join(bundles, name)
  if (existsSync(folder)) return folder
  await mkdir(bundles, { recursive: true })
  // A server reads all of it when it starts: nobody misses an older one.
  const older = (await readdir(bundles)).filter(other => other !== name)
  await Promise.all(older.map(other => rm(join(bundles, other), { recursive: true, force: true })))
  const fresh = await bundlePage(`${bundles}.${process.pid}`)
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true }))
  return folder
}

/** A page with everything that it asked for and complained about. */
export interface OpenPage {
  readonly page: Page
  /** URLs in the order of the requests. */
  readonly requests: string[]
  /** Uncaught exceptions and what was logged as an error. */
  readonly errors: string[]
  /**
   * Leave the window to the page that is opened next: a new window costs more than a page does. What the page kept and
   * was permitted is gone then; what the browser keeps of the answers of a server stays.
   */
  leave(): Promise<void>
}

/** As Playwright has them; the size may not be left to the browser. */
type WindowOptions = Omit<BrowserContextOptions, 'viewport'> & { readonly viewport?: ViewportSize }

interface Window {
  readonly page: Page
  /** Changes what the pixels of the window are. */
  readonly session: CDPSession
}

/** Windows that were left, by the options that a window keeps. */
const left = new WeakMap<Browser, Map<string, Window[]>>()

/** Open a URL in a window of its own, as `openWindow` does. @param blocked pattern of URLs that it cannot reach. */
export async function openPage(
  browser: Browser,
  url: string,
  options: WindowOptions = {},
  blocked?: string,
): Promise<OpenPage> {
  const opened = await openWindow(browser, options)
  const { page } = opened
  if (blocked) await page.route(blocked, route => route.abort())
  await page.goto(url)
  await untilReady(page)
  return opened
}

/** An empty window that nobody else uses, of few pixels unless `options` say otherwise. */
export async function openWindow(browser: Browser, options: WindowOptions = {}): Promise<OpenPage> {
  const { viewport, deviceScaleFactor, reducedMotion, ...kept } = {
    viewport: { width: 1200, height: 1000 },
    reducedMotion: 'reduce' as const,
    ...COARSE,
    ...options,
  }
  const windows = left.get(browser) ?? new Map<string, Window[]>()
  left.set(browser, windows)
  const kind = JSON.stringify(kept)
  const alike = windows.get(kind) ?? []
  windows.set(kind, alike)
  const window = alike.pop() ?? (await newWindow(browser, kept))
  const { page, session } = window
  await page.setViewportSize(viewport)
  await page.emulateMedia({ reducedMotion })
  const mobile = kept.isMobile ?? false
  await session.send('Emulation.setDeviceMetricsOverride', { ...viewport, deviceScaleFactor, mobile })

  const [requests, errors]: string[][] = [[], []]
  const onRequest = (request: Request): void => void requests.push(request.url())
  const onError = (error: Error): void => void errors.push(`${error.stack ?? error}`)
  const onMessage = (message: ConsoleMessage): void => {
    if (message.type() === 'error') errors.push(message.text())
  }
  page.on('request', onRequest).on('pageerror', onError).on('console', onMessage)
  const leave = async (): Promise<void> => {
    page.off('request', onRequest).off('pageerror', onError).off('console', onMessage)
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await page.evaluate(() => {
      localStorage.clear()
      sessionStorage.clear()
    })
    await page.goto('about:blank')
    await page.context().clearPermissions()
    alike.push(window)
  }
  return { page, requests, errors, leave }
}

async function newWindow(browser: Browser, options: BrowserContextOptions): Promise<Window> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(TIMEOUT_MS)
  const page = await context.newPage()
  return { page, session: await context.newCDPSession(page) }
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
    TIMEOUT_MS,
  )
}

/** What a notice says, which may be gone seconds later. @param part of it. */
export async function noticeWith(page: Page, part: string): Promise<string | null> {
  return (await page.waitForSelector(`#notice:has-text("${part}")`)).textContent()
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
