/** A browser needs the file a while longer. */
const KEPT_MS = 60_000

/** Hand a file to the person, who may be asked where to put it. */
export function saveFile(file: Blob, name: string): void {
  const url = URL.createObjectURL(file)
  openDownload(url, name)
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS)
}

/** @param name for the file, where its server does not name it. */
export function openDownload(url: string, name: string): void {
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
}
