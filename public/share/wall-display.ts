/** For a screen on the wall (`?display=wall`): picture, name, scale bar and state only, in larger letters. */
export function applyDisplay(): void {
  if (new URLSearchParams(location.search).get('display') === 'wall') document.body.dataset.display = 'wall'
}
