/**
 * The element of the page that a part of it belongs to.
 *
 * @throws {TypeError} index.html has no such element of that kind.
 */
export function element<E extends Element>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector)
  if (!(found instanceof kind)) throw new TypeError(`index.html has no ${kind.name} at ${selector}`)
  return found
}
