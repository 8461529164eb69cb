// What we use of the WebAssembly API: TypeScript has its types only among those of the browser.
declare namespace WebAssembly {
  interface Module {
    readonly [Symbol.toStringTag]: string
  }
  interface Instance {
    readonly exports: Record<string, unknown>
  }
  interface Memory {
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  interface Global {
    value: number
  }
  var Module: { new (bytes: Uint8Array): Module }
  var Instance: { new (module: Module): Instance }
}
