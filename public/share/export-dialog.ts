import { SAMPLE_TYPES } from '../../src/plane.js'
import { copyToClipboard } from '../parts/copy-text.js'
import { element } from '../parts/element.js'
import { formatArea, formatBytes, formatNumber, parseNumber, THIN_SPACE } from '../parts/number-format.js'
import { openDownload, saveFile } from '../parts/save-file.js'
import { hasToken, linkableUrl, readSoftware, reasonOf } from '../server/pyramid-api.js'
import { drawFigure } from './draw-figure.js'
import type { ExportSource } from './export-source.js'
import { figureFacts } from './figure-facts.js'
import {
  type Background,
  FIGURE_PARTS,
  type FigureFormat,
  type FigurePlan,
  type FigureWishes,
  figureBytes,
  figureProblem,
  MM_PER_INCH,
  planFigure,
  screenWidthMm,
} from './figure-plan.js'
import { fileName } from './file-name.js'
import { describePng } from './png-chunks.js'
import { pythonSnippet } from './python-snippet.js'
import { cropExtentUm, planSampleCrop, type SampleCrop, sampleCropUrl } from './sample-crop.js'
import { tiffOf } from './tiff-file.js'

const TOLD_MS = 2000
const PREVIEW_MARGIN_PX = 12
/** The preview waits for the last of several changes. */
const PREVIEW_AFTER_MS = 60

/** The dialog that makes figures, crops of samples and Python of what is seen; each says beforehand how large it is. */
export class ExportDialog {
  readonly #dialog: HTMLDialogElement
  readonly #seen: () => ExportSource | undefined
  readonly #width: HTMLInputElement
  readonly #save: HTMLButtonElement
  readonly #saveSamples: HTMLButtonElement
  readonly #problem: HTMLElement
  /** As it was when the dialog was opened. */
  #source: ExportSource | undefined
  #drawing = new AbortController()
  #previewing = new AbortController()
  #previewTimer: number | undefined

  /** @param seen undefined while nothing is shown. */
  constructor(dialog: HTMLDialogElement, seen: () => ExportSource | undefined) {
    this.#dialog = dialog
    this.#seen = seen
    this.#width = element(dialog, '[name=figure-width]', HTMLInputElement)
    this.#save = element(dialog, '.save-figure', HTMLButtonElement)
    this.#saveSamples = element(dialog, '.save-samples', HTMLButtonElement)
    this.#problem = element(dialog, '.problem', HTMLElement)
    const copy = element(dialog, '.copy-python', HTMLButtonElement)
    dialog.addEventListener('change', event => this.#onChange(event.target))
    this.#width.addEventListener('input', () => this.#onWidthTyped())
    this.#save.addEventListener('click', () => void this.#saveFigure())
    this.#saveSamples.addEventListener('click', () => void this.#saveCrop())
    copy.addEventListener('click', () => void this.#copyPython(copy))
    dialog.addEventListener('close', () => {
      this.#drawing.abort()
      this.#previewing.abort()
    })
    // A click on the backdrop lands on the dialog itself.
    dialog.addEventListener('click', event => {
      if (event.target === dialog) dialog.close()
    })
  }

  open(): void {
    this.#source = this.#seen()
    if (!this.#source || this.#dialog.open) return
    this.#problem.textContent = ''
    this.#takePreset()
    this.#showSamples(this.#source)
    this.#dialog.showModal()
    this.#showFigure()
  }

  #onChange(target: EventTarget | null): void {
    const name = target instanceof HTMLInputElement ? target.name : ''
    if (name === 'export-kind') this.#dialog.dataset.kind = this.#chosen('export-kind')
    if (name === 'figure-preset') this.#takePreset()
    this.#problem.textContent = ''
    this.#showFigure()
  }

  #onWidthTyped(): void {
    for (const preset of this.#dialog.querySelectorAll<HTMLInputElement>('[name=figure-preset]')) preset.checked = false
    this.#showFigure()
  }

  #chosen(name: string): string {
    return this.#dialog.querySelector<HTMLInputElement>(`[name=${name}]:checked`)?.value ?? ''
  }

  #takePreset(): void {
    const preset = this.#chosen('figure-preset')
    if (preset === '' || !this.#source) return
    const mm = preset === 'screen' ? screenWidthMm(this.#source.frame.width) : Number(preset)
    this.#width.value = String(Number(mm.toFixed(1)))
  }

  get #wishes(): FigureWishes {
    const isWanted = (part: string): boolean =>
      this.#dialog.querySelector(`[name=figure-part][value=${part}]:checked`) !== null
    return {
      format: this.#chosen('figure-format') as FigureFormat,
      widthMm: parseNumber(this.#width.value) ?? 0,
      dpi: Number(this.#chosen('figure-dpi')),
      background: this.#chosen('figure-background') as Background,
      parts: new Set(FIGURE_PARTS.filter(isWanted)),
    }
  }

  #plan(source: ExportSource): FigurePlan {
    return planFigure(this.#wishes, source.frame, source.look.channels.length)
  }

  #showFigure(): void {
    if (!this.#source) return
    const plan = this.#plan(this.#source)
    const problem = figureProblem(plan)
    const facts = element(this.#dialog, '.figure-facts', HTMLElement)
    facts.textContent = problem ?? figureSizes(plan)
    facts.classList.toggle('bad', problem !== undefined)
    this.#save.disabled = problem !== undefined
    clearTimeout(this.#previewTimer)
    this.#previewTimer = setTimeout(() => void this.#preview(), PREVIEW_AFTER_MS)
  }

  async #preview(): Promise<void> {
    const source = this.#source
    const box = element(this.#dialog, '.preview', HTMLElement)
    const wishes = this.#wishes
    if (!source || !this.#dialog.open || box.clientWidth === 0 || !(wishes.widthMm > 0)) return
    this.#previewing.abort()
    this.#previewing = new AbortController()
    const plan = this.#plan(source)
    const room = (px: number): number => (px - 2 * PREVIEW_MARGIN_PX) * devicePixelRatio
    const share = Math.min(room(box.clientWidth) / plan.width, room(box.clientHeight) / plan.height)
    const small = planFigure({ ...wishes, dpi: wishes.dpi * share }, source.frame, source.look.channels.length)
    try {
      const { signal } = this.#previewing
      const figure = await drawFigure(small, source, signal, () => undefined)
      if (signal.aborted) return
      figure.style.width = `${small.width / devicePixelRatio}px`
      figure.dataset.background = wishes.background
      box.replaceChildren(figure)
    } catch {
      // Saving says what is wrong; a preview that was overtaken is not missed.
    }
  }

  async #saveFigure(): Promise<void> {
    const source = this.#source
    if (!source) return
    const plan = this.#plan(source)
    const { format } = plan.wishes
    this.#drawing = new AbortController()
    const { signal } = this.#drawing
    this.#save.disabled = true
    this.#problem.textContent = ''
    const tell = (text: string): void => {
      this.#save.textContent = text
    }
    try {
      const canvas = await drawFigure(plan, source, signal, done =>
        tell(`Drawing ${formatNumber(100 * done)}${THIN_SPACE}%`),
      )
      tell('Writing')
      const file = await figureFile(canvas, plan, source)
      signal.throwIfAborted()
      const { pyramid } = source.store
      saveFile(file, fileName(pyramid.name, source.well, source.frame.centerUm, format === 'png' ? 'png' : 'tif'))
      tell('Saved')
      setTimeout(() => tell('Save figure'), TOLD_MS)
    } catch (error) {
      tell('Save figure')
      const isClosed = (error as Error).name === 'AbortError'
      const reason = isClosed ? 'Another pyramid is shown by now: close this, and export that.' : reasonOf(error)
      if (!signal.aborted) this.#problem.textContent = `The figure could not be made. ${reason}`
    } finally {
      this.#save.disabled = false
    }
  }

  #showSamples(source: ExportSource): void {
    const { pyramid } = source.store
    const crop = cropOf(source)
    const bits = 8 * SAMPLE_TYPES[pyramid.sampleType].bytes
    element(this.#dialog, '.samples-name', HTMLElement).textContent = `${bits}-bit crop`
    const turned = source.frame.rotation !== 0 ? ' The view is turned: this is the box around it.' : ''
    const words = crop
      ? [cropSizes(source, crop), `${resolutionWords(crop)}${turned}`]
      : ['Nothing that was imaged is in view.', 'Move the view to where frames are, and export again.']
    for (const kind of ['samples', 'python']) {
      element(this.#dialog, `.${kind}-facts`, HTMLElement).textContent = words[0] as string
      element(this.#dialog, `.${kind}-note`, HTMLElement).textContent = words[1] as string
    }
    const { href } = new URL('.', location.href)
    const code = crop ? pythonSnippet(pyramid, crop, href, hasToken()) : ''
    element(this.#dialog, '.python-code', HTMLTextAreaElement).value = code
    this.#saveSamples.disabled = crop === undefined
    element(this.#dialog, '.copy-python', HTMLButtonElement).disabled = crop === undefined
  }

  async #saveCrop(): Promise<void> {
    const source = this.#source
    const crop = source && cropOf(source)
    if (!source || !crop) return
    const { pyramid } = source.store
    try {
      const url = await linkableUrl(sampleCropUrl(pyramid, crop, 'tif'))
      openDownload(url, fileName(pyramid.name, source.well, source.frame.centerUm, 'tif'))
    } catch {
      this.#problem.textContent = 'The server does not answer; try again when it is back.'
    }
  }

  async #copyPython(button: HTMLButtonElement): Promise<void> {
    const code = element(this.#dialog, '.python-code', HTMLTextAreaElement)
    if (!(await copyToClipboard(code.value))) {
      code.select()
      this.#problem.textContent = 'This browser does not let the page copy: the code is selected, press Ctrl C.'
      return
    }
    button.textContent = 'Copied'
    setTimeout(() => {
      button.textContent = 'Copy'
    }, TOLD_MS)
  }
}

async function figureFile(canvas: HTMLCanvasElement, { wishes }: FigurePlan, source: ExportSource): Promise<Blob> {
  const software = await readSoftware()
  const description = figureFacts({ ...source, software })
  const { dpi, background } = wishes
  if (wishes.format === 'tiff')
    return tiffOf(canvas, { dpi, transparent: background === 'transparent', description, software })
  const png = await new Promise<Blob | null>(resolve => canvas.toBlob(resolve, 'image/png'))
  if (!png) throw new Error('This browser has not enough memory for it.')
  return describePng(png, dpi, {
    Title: source.name,
    Software: software,
    Permalink: source.permalink,
    Description: description,
  })
}

function cropOf({ store, frame, look, slice }: ExportSource): SampleCrop | undefined {
  const channels = look.channels.map(({ channel }) => channel)
  return planSampleCrop(store.pyramid, frame, channels, slice)
}

/** `85.0 × 86.1 mm · 1 004 × 1 017 px · up to 3.1 MB` */
function figureSizes(plan: FigurePlan): string {
  const { width, height, wishes } = plan
  const mm = [width, height].map(px => formatNumber((px / wishes.dpi) * MM_PER_INCH, 1)).join(' × ')
  const size = `${formatNumber(width)} × ${formatNumber(height)}${THIN_SPACE}px`
  const atMost = wishes.format === 'png' ? 'up to ' : ''
  return `${mm}${THIN_SPACE}mm · ${size} · ${atMost}${formatBytes(figureBytes(plan))}`
}

/** `297 × 301 µm · 912 × 924 px, 2 channels · 3.4 MB` */
function cropSizes({ store }: ExportSource, crop: SampleCrop): string {
  const { from, to } = cropExtentUm(store.pyramid, crop)
  const count = crop.channels.length
  const size = `${formatNumber(crop.width)} × ${formatNumber(crop.height)}${THIN_SPACE}px`
  const channels = count > 1 ? `, ${count} channels` : ''
  return `${formatArea(to.x - from.x, to.y - from.y)} · ${size}${channels} · ${formatBytes(crop.bytes)}`
}

function resolutionWords({ level }: SampleCrop): string {
  if (level === 0) return 'Every sample as it is stored, at full resolution.'
  const side = formatNumber(2 ** level)
  return `Too large at full resolution: each sample is the mean of ${side} × ${side}.`
}
