/**
 * A field of a CSV line, quoted where it must be. A text that a spreadsheet would run as a formula gets an apostrophe in
 * front, which `textOfCsvField` takes off again; numbers are as they are.
 */
export function csvField(value: string | number | undefined): string {
  const text = typeof value === 'string' ? value.replace(/^(?='*[=+\-@])/, "'") : String(value ?? '')
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The text that a field stands for, once its quotes are gone. */
export function textOfCsvField(field: string): string {
  return field.replace(/^'(?='*[=+\-@])/, '')
}
