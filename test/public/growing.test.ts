import { EventEmitter } from 'node:events'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Rect } from '../../src/plane.js'
import type { BuildFeed, BuildFeedEvents } from '../../src/pyramid/build-feed.js'
import { SHARD_SIZE, type TileAddress } from '../../src/pyramid/mosaic-geometry.js'
import { nameOfShard, ShardJournal, type ShardKey } from '../../src/pyramid/shard-journal.js'
import { framesOf, GrowingPlate } from '../pyramid/growing-plate.js'
import { launchBrowser, type OpenPage, openPage, pageBundle, SHARP, untilReady } from './browser.js'
import { servePage } from './page-server.js'
import {
  comparePicture,
  contrastOf,
  grey,
  type PictureTruth,
  setContrast,
  tileRequests,
  viewOf,
} from './picture-truth.js'

const folder = t.testdir({})
/** Wide enough for every sample of the plates below. */
const CONTRAST = grey(100, 4000, 0.6)

let browser: Browser
let assetsFolder: string

t.before(async () => {
  ;[browser, assetsFolder] = await Promise.all([launchBrowser(), pageBundle()])
})
t.teardown(() => browser.close())

/** A pyramid that the test builds shard by shard while the real server shows it. */
class Build extends EventEmitter<BuildFeedEvents> implements BuildFeed {
  readonly plate: GrowingPlate
  readonly wanted: TileAddress[] = []
  readonly #journal: ShardJournal
  readonly #built = new Set<string>()

  constructor(plate: GrowingPlate, journal: ShardJournal) {
    super()
    this.plate = plate
    this.#journal = journal
  }

  get directory(): string {
    return this.plate.directory
  }

  /** Shards that frames lie in, the finest level first. */
  shardsOf(level: (level: number) => boolean): ShardKey[] {
    return this.plate.shards.filter(shard => level(shard.level))
  }

  prioritise(_: unknown, address: TileAddress): void {
    this.wanted.push(address)
  }

  /** Write a shard, with all its frames unless said otherwise, as a builder does. */
  async make(shard: ShardKey, frames?: readonly Rect[]): Promise<void> {
    const entry = await this.plate.writeShard(shard, frames)
    this.#journal.append(entry)
    if (shard.level === 0) this.#built.add(`${shard.row}/${shard.column}`)
    this.emit('shard', entry, undefined)
  }

  async finish(): Promise<void> {
    await this.plate.finish(this.#journal)
    this.emit('finished', this.directory)
  }

  close(): Promise<void> {
    return this.#journal.close()
  }

  /** Samples of what is built by now. */
  get soFar(): PictureTruth {
    const built = new Set(this.#built)
    return this.#truth((level, x, y) => {
      const shardOf = (pixel: number): number => Math.floor((pixel * 2 ** level) / SHARD_SIZE)
      return built.has(`${shardOf(y)}/${shardOf(x)}`)
    })
  }

  get finished(): PictureTruth {
    return this.#truth(() => true)
  }

  #truth(isThere: (level: number, x: number, y: number) => boolean): PictureTruth {
    return {
      pixelSizeUm: this.plate.record.pixelSizeUm,
      samples: async level => {
        const { plane, mask } = this.plate.levels[level] as (typeof this.plate.levels)[number]
        return (x, y) => {
          const isInside = x >= 0 && y >= 0 && x < plane.width && y < plane.height
          const index = y * plane.width + x
          return isInside && mask[index] === 1 && isThere(level, x, y) ? plane.samples[index] : undefined
        }
      },
    }
  }
}

type PlateOptions = ConstructorParameters<typeof GrowingPlate>[1]

/** Plan a plate, show it with the real server, and open it in a browser. */
async function openGrowing(t: Test, name: string, options: PlateOptions, planned?: readonly Rect[]) {
  const plate = new GrowingPlate(join(folder, name), options)
  await plate.writePlan(planned)
  const build = new Build(plate, await ShardJournal.open(plate.directory))
  t.teardown(() => build.close())
  const server = await servePage(assetsFolder, [])
  t.teardown(() => server.close())
  await server.attach(build)
  return { build, url: server.url }
}

async function open(t: Test, url: string, blocked?: string): Promise<OpenPage> {
  const opened = await openPage(browser, url, SHARP, blocked)
  t.teardown(() => opened.leave())
  return opened
}

/** Do something that changes tiles in view, and wait until they are drawn. */
async function andSee(page: Page, change: () => Promise<void>): Promise<void> {
  const answer = page.waitForResponse(reply => reply.url().includes('/tiles/') && reply.status() === 200)
  await change()
  await answer
  await untilReady(page)
}

/** Tiles that were asked for, as they are numbered in the pyramid. */
function askedTiles(opened: OpenPage, since: number, { record }: GrowingPlate): TileAddress[] {
  return tileRequests(opened)
    .slice(since)
    .map(url => {
      const [, zoom, column, row] = /tiles\/(\d+)\/(\d+)\/(\d+)\.bin/.exec(url)?.map(Number) ?? []
      return { level: record.levelCount - 1 - (zoom as number), column: column as number, row: row as number }
    })
}

/** Whether a tile lies over a shard of level 0, in it or above it. */
function isOver({ level, column, row }: TileAddress, shard: ShardKey, tileSize: number): boolean {
  const side = tileSize * 2 ** level
  const overlaps = (tile: number, at: number): boolean =>
    tile * side < (at + 1) * SHARD_SIZE && (tile + 1) * side > at * SHARD_SIZE
  return overlaps(column, shard.column) && overlaps(row, shard.row)
}

const word = (page: Page): Promise<string | null> => page.textContent('#connection .word')
const isFinest = (level: number): boolean => level === 0
const isCoarser = (level: number): boolean => level > 0

t.test('a pyramid fills in under an open page: at any moment a pixel is void or final', async t => {
  const { build, url } = await openGrowing(t, 'fills', { columns: 2, rows: 2 })
  const opened = await open(t, url)
  const { page } = opened
  t.equal(await word(page), 'Building')
  await setContrast(page, CONTRAST)
  const view = await viewOf(page)
  t.ok(view.level > 0, 'all of it is in view')
  t.ok(build.wanted.length > 0, 'what is looked at is to be built first')
  const framesTotal = build.plate.frames.length
  build.emit('progress', { framesDone: 3, framesTotal, secondsLeft: 4 })
  const told = await page.waitForSelector(`#notice:has-text("Building · 3 of ${framesTotal} frames")`)
  t.match(await told.textContent(), /frames · 4\ss left$/)

  for (const [i, shard] of build.shardsOf(isFinest).entries()) {
    const before = tileRequests(opened).length
    await andSee(page, async () => {
      await build.make(shard)
      for (let looks = 0; looks < 2; looks++) {
        await comparePicture(t, page, build.soFar, CONTRAST, `shard ${i}, under way`, true)
        await delay(100)
      }
    })
    await comparePicture(t, page, build.soFar, CONTRAST, `shard ${i}`)
    const asked = askedTiles(opened, before, build.plate)
    t.ok(asked.length > 0)
    t.same(
      asked.filter(tile => !isOver(tile, shard, build.plate.record.tileSize)),
      [],
      'only what has changed is asked for again',
    )
    t.equal(new Set(asked.map(tile => JSON.stringify(tile))).size, asked.length, 'and once')
    if (i !== 2) continue
    await page.keyboard.press('1')
    await page.keyboard.press('Shift+ArrowUp')
    const half = await comparePicture(t, page, build.soFar, CONTRAST, 'every sample of half a plate')
    t.ok(half.covered > 5000)
    await page.keyboard.press('0')
    await untilReady(page)
  }
  const before = tileRequests(opened).length
  for (const shard of build.shardsOf(isCoarser)) await build.make(shard)
  // Longer than the server collects changes.
  await delay(500)
  t.equal(await word(page), 'Building')
  await build.finish()
  await page.waitForSelector('#connection[data-state=live]')
  const whole = await comparePicture(t, page, build.finished, CONTRAST, 'all of it')
  t.ok(whole.covered > 10_000)
  t.same(askedTiles(opened, before, build.plate), [], 'it is complete, and no tile was asked for again')
  t.same(await viewOf(page), view, 'the view has not moved')
  t.notOk(await page.isVisible('#notice'))
  await page.keyboard.press('1')
  await page.keyboard.press('Shift+ArrowUp')
  await comparePicture(t, page, build.finished, CONTRAST, 'tiles of the complete pyramid beside those kept')
  t.same(opened.errors, [])
})

t.test('automatic contrast and numbers follow a growing pyramid; contrast that was set stays', async t => {
  const sample = (x: number): number => 200 + Math.floor(x / 2)
  const { build, url } = await openGrowing(t, 'contrast', { columns: 2, rows: 1, sample })
  const pages = [await open(t, url), await open(t, url)] as const
  const [automatic, set] = pages.map(({ page }) => page) as [Page, Page]
  const [first, ...others] = build.shardsOf(isFinest)
  const both = (change: () => Promise<void>): Promise<unknown> => andSee(automatic, () => andSee(set, change))
  await both(() => build.make(first as ShardKey))
  const early = await contrastOf(automatic)
  t.ok(early.white < 1300, 'the first samples are shown by their own contrast')
  await comparePicture(t, automatic, build.soFar, early, 'the darker half')
  const chosen = grey(150, 900)
  await setContrast(set, chosen)
  await set.keyboard.press('r')
  await set.mouse.move(100, 100)
  await set.mouse.down()
  await set.mouse.move(600, 500)
  await set.mouse.up()
  const measured = set.locator('.region dl div:nth-child(7) dd')
  const number = async (): Promise<number> => Number((await measured.textContent())?.replace(/\D/g, ''))
  const before = await number()
  await set.keyboard.press('Escape')
  for (const shard of others) await both(() => build.make(shard))
  await set.waitForFunction(
    least => Number(document.querySelector('.region dl div:nth-child(7) dd')?.textContent?.replace(/\D/g, '')) > least,
    before,
  )
  t.ok(before > 0 && (await number()) > before, 'a region that is open has the numbers of what is there')
  await set.keyboard.press('Control+z')
  await automatic.waitForFunction(
    () => Number(document.querySelector('.handle.white')?.getAttribute('aria-valuenow')) > 1500,
  )
  for (const shard of build.shardsOf(isCoarser)) await build.make(shard)
  await build.finish()
  for (const { page } of pages) await page.waitForSelector('#connection[data-state=live]')
  const { channels } = (await (await fetch(`${url}pyramids/${build.plate.record.id}`)).json()) as {
    channels: { window: { black: number; white: number } }[]
  }
  const { black, white } = channels[0]?.window ?? { black: 0, white: 0 }
  await comparePicture(t, automatic, build.finished, grey(black, white), 'the contrast of the whole pyramid')
  await comparePicture(t, set, build.finished, chosen, 'as it was set')
})

t.test('frames that are added to the plan appear, and the view stays', async t => {
  const frames = framesOf(2, 1)
  const early = frames.filter(({ x1 }) => x1 < 1200)
  const { build, url } = await openGrowing(t, 'planned', { columns: 2, rows: 1, frames }, early)
  const { page, errors } = await open(t, url)
  await setContrast(page, CONTRAST)
  await page.keyboard.press('-')
  await untilReady(page)
  const view = await viewOf(page)
  const [left, right] = build.shardsOf(isFinest) as [ShardKey, ShardKey]
  await andSee(page, () => build.make(left, early))
  await build.plate.writePlan(frames)
  await andSee(page, () => build.make(left))
  await andSee(page, () => build.make(right))
  const all = await comparePicture(t, page, build.finished, CONTRAST, 'frames right of the first ones')
  t.ok(all.covered > 5000)
  t.same(await viewOf(page), view)
  t.same(errors, [])
})

t.test('where live updates are blocked, a growing pyramid is followed by polling', async t => {
  const { build, url } = await openGrowing(t, 'polled', { columns: 2, rows: 1 })
  const opened = await open(t, url, '**/events')
  const { page } = opened
  await setContrast(page, CONTRAST)
  t.equal(await word(page), 'Checking')
  for (const shard of build.shardsOf(isFinest)) {
    await andSee(page, () => build.make(shard))
    await comparePicture(t, page, build.soFar, CONTRAST, 'found by polling')
  }
  const before = tileRequests(opened).length
  for (const shard of build.shardsOf(isCoarser)) await build.make(shard)
  const coverage = page.waitForResponse(reply => reply.url().includes('/coverage'))
  await build.finish()
  await coverage
  await comparePicture(t, page, build.finished, CONTRAST, 'all of it')
  t.same(askedTiles(opened, before, build.plate), [], 'nothing was missed, so nothing is asked for again')
})

t.test('a shard that cannot be read is hatched, and drawn when it was made anew', async t => {
  const { build, url } = await openGrowing(t, 'damaged', { columns: 1, rows: 1 })
  const { page } = await open(t, url)
  await setContrast(page, CONTRAST)
  const [shard] = build.shardsOf(isFinest) as [ShardKey]
  const frames = build.plate.frames
  await andSee(page, () => build.make(shard, frames.slice(0, -1)))
  await build.make(shard, frames.slice(0, -2))
  await truncate(join(build.directory, nameOfShard(shard)), 1000)
  await page.waitForSelector('#notice:has-text("could not be read")')
  await andSee(page, () => build.make(shard))
  await comparePicture(t, page, build.finished, CONTRAST, 'made anew')
  t.notMatch(await page.textContent('#notice'), /could not be read/)
})
