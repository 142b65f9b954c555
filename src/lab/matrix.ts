import type { Family } from '../model/values.ts'
import type { LabPod } from './pod.ts'
import type { Outcome, Place, Probe, Target } from './probe.ts'

/** Who asks or is asked: a pod, and as well a node or the external host. */
export interface MatrixPlace extends Place {
  readonly name: string
  readonly address4: string | null
  readonly address6: string | null
}

/** One question to one target. `open`: it came through. */
export type Ask<From extends Place = Place> = (from: From, target: Target) => Promise<Outcome>

export interface MatrixQuestion<Asked extends MatrixPlace = LabPod> {
  readonly rows: readonly Asked[]
  readonly columns: readonly Asked[]
  readonly family: Family
  /** An echo over one of these, or any other way to ask. */
  readonly protocol: 'tcp' | 'udp' | 'icmp' | Ask<Asked>
  /** Unused for icmp. */
  readonly port?: number
  /** How long silence lasts before it counts as denied. Default 300 ms. */
  readonly timeoutMs?: number
  /** What ought to be: true allowed, false denied, null not asked. */
  readonly expected: (from: Asked, to: Asked) => boolean | null
}

export interface MatrixCell {
  readonly from: string
  readonly to: string
  readonly expected: boolean
  readonly observed: boolean
  readonly outcome: string
}

export interface MatrixResult {
  readonly cells: readonly MatrixCell[]
  readonly allowed: number
  readonly denied: number
  readonly wrong: readonly MatrixCell[]
  /** Cells whose first answer was late and whose second, patient one was as expected. */
  readonly late: number
  /** For people: a line per row, `.` allowed, `X` denied, `!` wrong, then each wrong pair in words. */
  readonly text: string
}

/**
 * Asks every pair at once with real packets: only absence takes time. A pair that should pass and did not
 * is asked once more with four times the patience, since a busy machine is no firewall, and a neighbour that was closed
 * just now may still count as unreachable; `late` tells.
 */
export async function probeMatrix<Asked extends MatrixPlace = LabPod>(
  probe: Probe,
  question: MatrixQuestion<Asked>,
): Promise<MatrixResult> {
  const { protocol, timeoutMs: patience = 300 } = question
  const askOnce: Ask<Asked> = typeof protocol === 'function' ? protocol : echo(probe, protocol)
  let late = 0
  const ask = async (from: Asked, to: Asked): Promise<MatrixCell | null> => {
    const expected = question.expected(from, to)
    const address = question.family === 4 ? to.address4 : to.address6
    if (expected === null || address === null) return null
    const target = { address, port: question.port ?? 0, timeoutMs: patience }
    let outcome = await askOnce(from, target)
    if (expected && outcome !== 'open') {
      outcome = await askOnce(from, { ...target, timeoutMs: 4 * patience })
      if (outcome === 'open') late++
    }
    return { from: from.name, to: to.name, expected, observed: outcome === 'open', outcome }
  }
  const asked = await Promise.all(question.rows.flatMap(from => question.columns.map(to => ask(from, to))))
  const cells = asked.filter(cell => cell !== null)
  return {
    cells,
    allowed: cells.filter(cell => cell.observed).length,
    denied: cells.filter(cell => !cell.observed).length,
    wrong: cells.filter(cell => cell.observed !== cell.expected),
    late,
    text: matrixText(
      question.rows.map(pod => pod.name),
      question.columns.map(pod => pod.name),
      cells,
    ),
  }
}

function echo(probe: Probe, protocol: 'tcp' | 'udp' | 'icmp'): Ask {
  const verb = protocol === 'icmp' ? probe.ping : probe[protocol]
  return async (from, target) => (await verb(from, target)).outcome
}

const CORNER = 'from \\ to'

/** The matrix for people; columns are numbered, in the order of the rows' numbers where names are the same. */
export function matrixText(
  rows: readonly string[],
  columns: readonly string[],
  cells: readonly MatrixCell[],
): string {
  const find = new Map(cells.map(cell => [`${cell.from} ${cell.to}`, cell]))
  const names = [...new Set([...rows, ...columns])]
  const number = (name: string) => String(names.indexOf(name) + 1)
  const cellWidth = String(names.length).length + 1
  const label = (name: string) => `${number(name).padStart(cellWidth)} ${name}`
  const labelWidth = Math.max(CORNER.length, ...names.map(name => label(name).length))
  const lines = [`${CORNER.padEnd(labelWidth)}${columns.map(to => number(to).padStart(cellWidth)).join('')}`]
  for (const from of rows) {
    const marks = columns.map(to => mark(find.get(`${from} ${to}`)).padStart(cellWidth))
    lines.push(label(from).padEnd(labelWidth) + marks.join(''))
  }
  const others = columns.filter(to => !rows.includes(to))
  if (others.length > 0) lines.push(`to: ${others.map(to => `${number(to)} ${to}`).join(', ')}`)
  const count = (test: (cell: MatrixCell) => boolean) => cells.filter(test).length
  const wrong = cells.filter(cell => cell.expected !== cell.observed)
  lines.push(
    `${count(cell => cell.observed)} allowed (.), ${count(cell => !cell.observed)} denied (X), ${wrong.length} wrong (!)`,
  )
  for (const cell of wrong)
    lines.push(
      `! ${cell.from} -> ${cell.to}: ${cell.expected ? 'allow' : 'deny'} expected, observed ${cell.outcome}`,
    )
  return lines.join('\n')
}

function mark(cell: MatrixCell | undefined): string {
  if (cell === undefined) return '-'
  if (cell.expected !== cell.observed) return '!'
  return cell.observed ? '.' : 'X'
}
