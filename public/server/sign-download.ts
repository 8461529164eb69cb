import { openDownload } from '../parts/save-file.js'
import { hasToken, linkableUrl } from './pyramid-api.js'

/** A private server lets nobody read without the token, and a link cannot send it: a click has the address signed first. */
export function signDownload(link: HTMLAnchorElement): void {
  link.addEventListener('click', event => {
    if (!hasToken()) return
    event.preventDefault()
    // A server that does not answer is told by the connection.
    void linkableUrl(link.getAttribute('href') ?? '').then(
      url => openDownload(url, link.download),
      () => undefined,
    )
  })
}
