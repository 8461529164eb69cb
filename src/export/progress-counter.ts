import type { ExportProgress, ExportRequest } from './export-request.js'
import type { ExportTarget } from './export-target.js'

/** Counts the files of an export, and tells how far it is. */
export class ProgressCounter {
  readonly #target: ExportTarget
  readonly #total: number
  readonly #onProgress: (progress: ExportProgress) => void
  readonly #begun = performance.now()
  #done = 0

  constructor(target: ExportTarget, total: number, { onProgress }: Pick<ExportRequest, 'onProgress'>) {
    this.#target = target
    this.#total = total
    this.#onProgress = onProgress
  }

  count(): void {
    this.#done++
    const { kept: filesBefore, writtenBytes: bytesDone } = this.#target
    const seconds = (performance.now() - this.#begun) / 1000
    this.#onProgress({ filesDone: this.#done, filesTotal: this.#total, filesBefore, bytesDone, seconds })
  }
}
