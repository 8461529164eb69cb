import type { SourceOptions } from '../source-options.js'
import type { ArrayContent } from './array-source.js'
import type { Hdf5File } from './hdf5-file.js'
import type { Hdf5Dataset, Hdf5Object } from './hdf5-messages.js'
import { type FoundGroup, findGroups, textOf, textsOf } from './object-tree.js'
import { type ArrayAxis, type ArraySignal, mayBeImage, readAxis, showArrays } from './plain-array.js'

/** The groups of NeXus data whose signal is an image, the one first that the file says is to be shown. */
export function findNexusImages(at: string, object: Hdf5Object): FoundGroup[] {
  const found = findGroups(at, object).filter(({ group }) => {
    const [signal] = signalsOf({ path: '', group })
    return textOf(group.attributes.NX_class) === 'NXdata' && signal !== undefined && mayBeImage(signal.dataset)
  })
  const chosen = followDefault(at, object)
  const first = found.find(({ path }) => path === chosen)
  return first ? [first] : found
}

/**
 * The signal of a group of NeXus data, and its auxiliary signals, as layers.
 *
 * @param only name of the signal that is shown; all of them where it is left out.
 * @throws as `showArrays` and `Hdf5File.read`.
 */
export async function readNexus(
  file: Hdf5File,
  found: FoundGroup,
  options: SourceOptions,
  only?: string,
): Promise<ArrayContent> {
  const { path, group } = found
  const all = only === undefined ? signalsOf(found) : [signalAt(found, only)!]
  const [{ dataset }] = all as [ArraySignal]
  const shape = dataset.shape ?? []
  const names = textsOf(group.attributes.axes ?? dataset.attributes.axes).flatMap(text => text.split(/[:,]/))
  const axes: ArrayAxis[] = []
  for (const [i, length] of shape.entries()) {
    const name = names[i]
    const isThere = name !== undefined && name !== '.' && group.children?.[name]?.kind === 'dataset'
    axes.push(isThere ? await readAxis(file, `${path}/${name}`, length) : {})
  }
  const isAlike = (signal: ArraySignal): boolean => String(signal.dataset.shape) === String(shape)
  return showArrays(file.path, 'NeXus data', all.filter(isAlike), axes, options)
}

/** The path of a group that attributes called `default` lead to. */
function followDefault(at: string, object: Hdf5Object): string {
  const next = object.kind === 'group' ? textOf(object.attributes.default) : undefined
  const child = object.kind === 'group' && next !== undefined ? object.children?.[next] : undefined
  return child ? followDefault(at === '/' ? `/${next}` : `${at}/${next}`, child) : at
}

/** As the group says, or, in files of older versions, its datasets. */
function signalsOf(found: FoundGroup): ArraySignal[] {
  const { attributes, children } = found.group
  const old = Object.entries(children ?? {}).find(
    ([, child]) => child.kind === 'dataset' && [1, '1'].includes(child.attributes.signal?.value as number | string),
  )
  const names = [textOf(attributes.signal) ?? old?.[0], ...textsOf(attributes.auxiliary_signals)]
  return names.flatMap(name => signalAt(found, name) ?? [])
}

function signalAt({ path, group }: FoundGroup, name: string | undefined): ArraySignal | undefined {
  const dataset = name === undefined ? undefined : group.children?.[name]
  if (name === undefined || dataset?.kind !== 'dataset') return undefined
  return { path: `${path}/${name}`, dataset, ...describeSignal(name, dataset) }
}

function describeSignal(name: string, { attributes }: Hdf5Dataset): { name: string; unit?: string } {
  const unit = textOf(attributes.units)
  return { name: textOf(attributes.long_name) || name, ...(unit ? { unit } : {}) }
}
