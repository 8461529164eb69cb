import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type BuildReport, type BuildRequest, buildPyramid } from '../../src/engine/build-pyramid.js'
import { type BuildSettings, DEFAULT_SETTINGS } from '../../src/pyramid/build-settings.js'
import type { FrameSource } from '../../src/sources/frame-source.js'

/** What is asked of a build with the usual settings, but for what a test is about. */
export function requestOf(
  sources: readonly FrameSource[],
  output: string,
  settings: Partial<BuildSettings> = {},
  request: Partial<BuildRequest> = {},
): BuildRequest {
  return {
    sources,
    output,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    overwrite: false,
    strict: false,
    software: 'tilestage test',
    ...request,
  }
}

export function build(...wanted: Parameters<typeof requestOf>): Promise<BuildReport> {
  return buildPyramid(requestOf(...wanted))
}

/** Paths below a pyramid's folder of the files that the same series and settings always give the same bytes. */
export function reproducibleFiles(directory: string): string[] {
  return (
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(directory.length + 1))
      // The root has a random id; the report has the time it took.
      .filter(name => name !== 'zarr.json' && name !== 'tilestage/report.json')
      .sort()
  )
}
