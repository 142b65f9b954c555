import t from 'tap'
import type { CutReport } from '../../src/kernel/cut.ts'
import { AgentNews } from '../../src/runtime/agent-news.ts'
import { newNotes } from '../../src/runtime/agent-status.ts'
import { createLog } from '../../src/runtime/log.ts'

function news() {
  const lines: string[] = []
  const log = createLog(
    { level: 'info', format: 'json', journal: false },
    { write: line => lines.push(line) },
    () => {},
  )
  const notes = newNotes('node1', 'files')
  let changes = 0
  return {
    notes,
    news: new AgentNews({ log, notes, changed: () => changes++ }),
    told: () => changes,
    logged: () => lines.splice(0).map(line => JSON.parse(line)),
  }
}

const NOTHING: CutReport = { connections: 0, tuples: [], reopened: [], unclosed: [], milliseconds: 1.4 }

t.test('a deaf monitor is a warning until it listens again', async t => {
  const { news: agent, notes, logged, told } = news()
  agent.monitorDeaf('no memory')
  t.match(notes.warnings.get('drift monitor'), /cannot listen \(no memory\).*refresh timer only/)
  t.match(logged(), [{ level: 'warn' }])
  agent.monitorDeaf(null)
  t.equal(notes.warnings.size, 0)
  t.match(logged(), [{ level: 'info' }])
  t.equal(told(), 2)
})

t.test('what could not be judged or closed is a warning until a scan finds all in order', async t => {
  const { news: agent, notes, logged, told } = news()
  agent.scanFailed(new Error('no conntrack'))
  t.equal(notes.warnings.get('cut'), 'open connections cannot be judged: no conntrack')
  const unclosed = [
    { line: 'add x', said: 'full' },
    { line: 'add y', said: 'full' },
  ]
  agent.scanned({ ...NOTHING, connections: 2, tuples: ['a,tcp:1,b'], unclosed })
  t.equal(notes.warnings.get('cut'), '2 forbidden connections may come back: full')
  t.match(notes.lastCutScan, { ms: 1, cut: 2 })
  t.match(logged(), [
    { level: 'error', err: { message: 'no conntrack' } },
    { level: 'error', line: 'add x' },
    { level: 'info', connections: 2, tuples: 1 },
  ])
  agent.scanned(NOTHING)
  t.equal(notes.warnings.size, 0)
  t.same(logged(), [], 'a scan that finds nothing is not worth a line')
  t.equal(told(), 2)
})
