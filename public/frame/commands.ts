import type { ContrastControl } from '../contrast/contrast-control.js'
import type { Picture } from '../picture/picture.js'
import type { PlatePanel } from '../plate/plate-panel.js'
import type { CopyLink } from '../share/copy-link.js'
import type { ExportDialog } from '../share/export-dialog.js'
import type { Tools } from '../tools/tools.js'
import type { Navigation } from '../view/navigation.js'
import type { ViewMenu } from '../view/view-menu.js'
import type { KeyCommand } from './keys.js'
import type { PlaneSliders } from './plane-sliders.js'
import type { Workspace } from './workspace.js'

export const ZOOM_STEP = 1.5
const TURN_STEP = 90

/** What keys act on. */
export interface CommandParts {
  readonly picture: Picture
  readonly navigation: Navigation
  readonly viewMenu: ViewMenu
  readonly contrast: ContrastControl
  readonly tools: Tools
  readonly sliders: PlaneSliders
  readonly plate: PlatePanel
  readonly workspace: Workspace
  readonly copyLink: CopyLink
  readonly exportDialog: ExportDialog
  /** Back to where one came from, a step at a time. */
  leave(): void
  /** End what is being drawn, or tell what is under the pointer. */
  enter(): void
  openKeys(): void
}

/** All keys, in the order of the keys dialog. */
export function commandsOf(parts: CommandParts): readonly KeyCommand[] {
  const { picture, navigation, viewMenu, contrast, tools, sliders, plate, workspace, copyLink, exportDialog } = parts
  const pan =
    (right: number, down: number) =>
    ({ shiftKey }: KeyboardEvent): void =>
      navigation.pan(right, down, shiftKey)
  return [
    { keys: ['ArrowLeft'], label: '', does: '', run: pan(-1, 0) },
    { keys: ['ArrowRight'], label: '', does: '', run: pan(1, 0) },
    { keys: ['ArrowUp'], label: '', does: '', run: pan(0, -1) },
    { keys: ['ArrowDown'], label: '← ↑ → ↓', does: 'Pan, with Shift by a full view', run: pan(0, 1) },
    // Digits by their place: on some keyboards they need Shift, and with Shift they are other signs everywhere.
    key(['Digit0', 'Numpad0'], '0', 'Fit the well', () => navigation.fitWell(), { shift: false }),
    key(['Digit0'], 'Shift 0', 'Fit everything', () => navigation.fitAll(), { shift: true }),
    key(['Digit1', 'Numpad1'], '1', 'One screen pixel per sample', () => picture.zoomToSamples(), { shift: false }),
    key(['+', '='], '+', 'Zoom in', () => picture.zoomBy(ZOOM_STEP)),
    key(['-', '_'], '−', 'Zoom out', () => picture.zoomBy(1 / ZOOM_STEP)),
    key(['g', 'G'], 'G', 'Go to a position or a well', () => viewMenu.open()),
    key(['t', 'T'], 'T', 'Turn right by 90°', () => picture.turnBy(TURN_STEP), { shift: false }),
    key(['t', 'T'], 'Shift T', 'Turn left by 90°', () => picture.turnBy(-TURN_STEP), { shift: true }),
    key(['y', 'Y'], 'Y', 'Stage y up or down', () => picture.mirror(!picture.view.yUp)),
    key(['n', 'N'], 'N', 'Neither turned nor mirrored', () => navigation.turnBack()),
    key(['v', 'V'], 'V', 'Pan', () => tools.choose('pan')),
    key(['m', 'M'], 'M', 'Measure lengths and areas', () => tools.choose('measure')),
    key(['r', 'R'], 'R', 'Measure a region', () => tools.choose('region'), { needsServer: true }),
    key(['p', 'P'], 'P', 'Mark points', () => tools.choose('point'), { needsServer: true }),
    key(['o', 'O'], 'O', 'Outlines of the frames', () => tools.toggleOutlines()),
    key(['Delete', 'Backspace'], 'Delete', 'Remove what is selected', () => tools.removeSelected()),
    key(['z', 'Z'], 'Ctrl Z', 'Undo measurements and points', () => tools.undo(), { control: true }),
    key(['a', 'A'], 'A', 'Automatic contrast', () => contrast.auto(), { shift: false }),
    key(['a', 'A'], 'Shift A', 'Automatic contrast of the view', () => contrast.autoToView(), { shift: true }),
    key(['i', 'I'], 'I', 'Invert the colours', () => contrast.invert()),
    key(['c', 'C'], 'C', 'Mark samples below black and above white', () => contrast.toggleMarks()),
    key(['s', 'S'], 'S', 'Smooth samples, or squares', () => contrast.toggleSmooth()),
    key(['['], '[', 'Previous well', () => plate.step(-1)),
    key([']'], ']', 'Next well', () => plate.step(1)),
    key([','], ',', 'Previous z-plane or time point', () => sliders.step(-1)),
    key(['.'], '.', 'Next z-plane or time point', () => sliders.step(1)),
    key([' '], 'Space', 'Play, or pause', () => sliders.togglePlay()),
    key(['d', 'D'], 'D', 'Show or hide the panels', () => workspace.toggleDock()),
    key(['h', 'H'], 'H', 'Picture only, and back', () => workspace.togglePictureOnly()),
    key(['f', 'F'], 'F', 'Full screen', () => workspace.toggleFullScreen()),
    key(['l', 'L'], 'L', 'Copy the link to what is seen', () => void copyLink.copy()),
    key(['e', 'E'], 'E', 'Export figure, crop or Python', () => exportDialog.open()),
    key(['Enter'], 'Enter', 'Details of what is under the pointer', parts.enter),
    key(['Escape'], 'Esc', 'Back to panning, free the reticle', parts.leave),
    key(['?'], '?', 'These keys', parts.openKeys),
  ]
}

function key(
  keys: readonly string[],
  label: string,
  does: string,
  run: () => void,
  modifiers: Pick<KeyCommand, 'shift' | 'control' | 'needsServer'> = {},
): KeyCommand {
  return { keys, label, does, run, ...modifiers }
}
