import t from 'tap'
import type { Backend } from '../../src/kernel/backend.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { closeGate } from '../../src/runtime/close-gate.ts'
import { resolveSettings } from '../../src/runtime/settings.ts'
import { sh } from '../kernel/bench.ts'

const { skip } = await enterSandbox()

const CLEAR = 'for f in iptables ip6tables; do for b in nft legacy; do $f-$b -F; $f-$b -X; done; done'

for (const [backend, other] of [
  ['nft', 'legacy'],
  ['legacy', 'nft'],
] as const)
  t.test(`${backend}: the gate closes where no rules of ours stand, in either backend`, { skip }, async t => {
    sh(CLEAR)
    const gate = (written: Backend) => {
      const flags = new Map([['backend', written]] as const)
      const sources = { flags, env: {}, file: null, store: new Map(), host: { hostname: 'node1' } }
      return closeGate(systemProcesses(), resolveSettings(sources).settings)
    }
    const rules = (tool: string) => sh(`${tool}-${backend} -S`)

    t.same(await gate(backend), { backend, closed: [4, 6], standing: [] })
    for (const tool of ['iptables', 'ip6tables'])
      t.match(rules(tool), /-A FORWARD -j podf-FORWARD\n[\s\S]*-A podf-FORWARD -o cali\+ -j DROP/, tool)
    t.same(await gate(backend), { backend, closed: [], standing: [4, 6] }, 'they stand now')

    sh(`ip6tables-${backend} -F FORWARD`)
    t.same(await gate(backend), { backend, closed: [], standing: [4, 6] })
    t.match(rules('ip6tables'), '-A FORWARD -j podf-FORWARD', 'a jump that somebody took is put back')

    t.same(await gate(other), { backend: other, closed: [], standing: [4, 6] }, `not in ${other}`)
    t.notMatch(sh(`iptables-${other} -S`), 'podf-')
  })
