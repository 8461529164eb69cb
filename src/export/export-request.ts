import type { Pyramid } from '../pyramid/pyramid.js'
import type { PublishedNames } from './published-names.js'

/** How far an export is. */
export interface ExportProgress {
  readonly filesDone: number
  readonly filesTotal: number
  /** Of `filesDone`, how many were there already. */
  readonly filesBefore: number
  /** Written in this run. */
  readonly bytesDone: number
  /** Since the export began. */
  readonly seconds: number
}

/** A pyramid and where it is to go. */
export interface ExportRequest {
  /** Complete. */
  readonly pyramid: Pyramid
  /** Folder of the target; made if absent. */
  readonly folder: string
  readonly names: PublishedNames
  /** Name and version of the program. */
  readonly software: string
  readonly signal: AbortSignal
  /** Told once, before anything is written. */
  onPlan(plan: ExportPlan): void
  onProgress(progress: ExportProgress): void
  onWarning(message: string): void
}

/** What is going to be written. */
export interface ExportPlan {
  readonly files: number
  /** At most; undefined where that depends on how well samples compress. */
  readonly bytes?: number
}

/** What an export did. */
export interface ExportReport {
  /** What somebody opens, below the folder: the page, the description, or the images. */
  readonly results: readonly string[]
  readonly written: number
  readonly writtenBytes: number
  /** Files that were there already. */
  readonly kept: number
}

/** How layers look in exports that are pictures. */
export interface PictureWishes {
  readonly format: 'jpg' | 'png'
  /** As in addresses of the server; by themselves linear and grey. */
  readonly stretch?: string
  readonly lut?: string
}
