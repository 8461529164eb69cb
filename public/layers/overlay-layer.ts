/** Something drawn over the picture that can be shown and hidden: a row of the Layers panel. */
export interface OverlayLayer {
  /** Tells the layers apart. */
  readonly name: string
  /** As people read it. */
  readonly label: string
  readonly visible: boolean
  /** How much there is of it: `75`, `none`. */
  readonly value: string
}
