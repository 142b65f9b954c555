import t from 'tap'
import type { Ended, Processes } from '../../src/kernel/process.ts'
import { createLog } from '../../src/runtime/log.ts'
import { OtherBackend } from '../../src/runtime/other-backend.ts'

const OURS = '*filter\n:podf-FORWARD - [0:0]\n-A FORWARD -j podf-FORWARD\nCOMMIT\n'

/** An agent on legacy, with rules of an earlier run in iptables-nft that go when the tool is let. */
function host() {
  const state = { ours: OURS, refuses: false, stands: false, kubernetes: '', broken: false }
  const processes: Processes = {
    async run(file, args): Promise<Ended> {
      const ended = { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, missing: false }
      if (state.broken) throw new Error('no more processes')
      if (args.includes('-S')) return { ...ended, code: 1 }
      if (file === 'nft' && state.kubernetes !== '')
        return { ...ended, stdout: `table ip mangle {\n\tchain ${state.kubernetes} {\n\t}\n}\n` }
      if (file === 'iptables-nft-save') return { ...ended, stdout: state.ours }
      if (file !== 'iptables-nft-restore') return ended
      if (state.refuses) return { ...ended, code: 4, stderr: 'busy\n' }
      state.ours = ''
      return ended
    },
    start: () => {
      throw new Error('not used')
    },
    stopAll: () => {},
  }
  const notes = { mismatch: null as string | null, warnings: new Map<string, string>() }
  const log = createLog({ level: 'silent', format: 'json', journal: false }, { write: () => {} })
  const driver = { stands: () => state.stands }
  return { state, notes, other: new OtherBackend({ processes, backend: 'legacy', driver, log, notes }) }
}

t.test('rules of an earlier run go when those of this run stand, and are told of till then', async t => {
  const { state, notes, other } = host()
  const told = () => notes.warnings.get('other backend') ?? null
  await other.look()
  t.match(told(), /iptables-nft holds rules of podfence from an earlier run/)
  await other.clear()
  t.equal(state.ours, OURS, 'nothing is removed while it may be all that is closed')
  t.not(told(), null)
  state.stands = true
  state.refuses = true
  await other.clear()
  t.not(told(), null, 'a tool that fails is no reason to end, and is told')
  state.refuses = false
  await other.clear()
  t.equal(state.ours, '')
  t.equal(told(), null)
  state.ours = OURS
  await other.clear()
  t.equal(state.ours, OURS, 'what comes there later is not fought with')
})

t.test('the hints of Kubernetes are read again with each look', async t => {
  const { state, notes, other } = host()
  await other.look()
  t.equal(notes.mismatch, null)
  state.kubernetes = 'KUBE-IPTABLES-HINT'
  await other.look()
  t.match(notes.mismatch, /Kubernetes uses nft/)
  state.broken = true
  await other.look()
  t.match(notes.mismatch, /Kubernetes uses nft/, 'what cannot be looked at stays as it was')
  state.broken = false
  state.kubernetes = ''
  await other.look()
  t.equal(notes.mismatch, null)
})
