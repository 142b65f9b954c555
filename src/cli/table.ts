import { stripVTControlCharacters } from 'node:util'

/** Printable width: escape codes take none. (Wide characters count as one; names here are ASCII.) */
function width(text: string): number {
  return [...stripVTControlCharacters(text)].length
}

/** Columns aligned to the left under their heads, two blanks apart; the last column is not padded. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heads, ...rows].map(row => row.map(cell => oneLine(cell)))
  const widths = heads.map((_, column) => Math.max(...all.map(row => width(row[column] ?? ''))))
  return all
    .map(row =>
      row
        .map((cell, column) => cell + ' '.repeat(Math.max(0, widths[column]! - width(cell))))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of our own (ESC [ ... m) may stay.
const FOREIGN_CONTROL = /(?!\u001b\[[0-9;]*m)\p{Cc}/gu

/** Text from a store must not move the cursor or break the row. */
export function oneLine(text: string): string {
  return text.replaceAll(FOREIGN_CONTROL, ' ')
}
