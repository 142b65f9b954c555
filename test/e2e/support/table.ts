import type { MatrixPlace } from '../../../src/lab/matrix.ts'

/** What a scenario expects of each pair. */
export interface Table {
  readonly rows: readonly MatrixPlace[]
  readonly columns: readonly MatrixPlace[]
  /** Whether a question comes through; null: not asked. */
  expected(from: MatrixPlace, to: MatrixPlace, question: string): boolean | null
}

/**
 * Reads a table of names and cells: `.` every question comes through, `X` none, `-` not asked, else those that
 * are listed: `80,ping`. Throws Error when a row is not as long as the heading, or a cell lists what is not asked.
 */
export function readTable(
  text: string,
  questions: readonly string[],
  placeNamed: (name: string) => MatrixPlace,
): Table {
  const [heading = [], ...lines] = text
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(words => words[0] !== '')
  const places = new Map([...heading, ...lines.map(([name]) => name!)].map(name => [name, placeNamed(name)]))
  const columns = heading.map(name => places.get(name)!)
  const cells = new Map<MatrixPlace, ReadonlyMap<MatrixPlace, string>>()
  for (const [name = '', ...words] of lines) {
    if (words.length !== columns.length) throw new Error(`the row of ${name} is not as long as the heading`)
    const stray = words
      .flatMap(word => word.split(','))
      .find(word => !['.', 'X', '-', ...questions].includes(word))
    if (stray !== undefined) throw new Error(`the row of ${name} lists ${stray}, which is not asked`)
    cells.set(places.get(name)!, new Map(words.map((word, at) => [columns[at]!, word])))
  }
  return {
    rows: [...cells.keys()],
    columns,
    expected(from, to, question) {
      const cell = cells.get(from)!.get(to)!
      if (cell === '-') return null
      return cell === '.' || (cell !== 'X' && cell.split(',').includes(question))
    },
  }
}

/** A table's text from its columns: `{ web: { client: '80', stranger: 'X' } }`. Every column has the same rows. */
export function tableOf(columns: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  const names = Object.keys(columns)
  const rows = Object.keys(Object.values(columns)[0] ?? {})
  return [names, ...rows.map(row => [row, ...names.map(name => columns[name]![row] ?? '-')])]
    .map(words => words.join(' '))
    .join('\n')
}
