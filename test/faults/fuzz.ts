import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { assertPlainLines } from '../../src/kernel/plain-line.ts'
import { ModelTree } from '../../src/model/tree.ts'
import type { ModelChange } from '../../src/model/values.ts'
import { memberOf } from '../../src/policy/address-set.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { permits } from '../../src/policy/verdict.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { ROOT } from '../../src/source/v1-tree.ts'
import { FUZZ_SEED, fuzz } from './support/fuzz.ts'

const COUNT = 100_000
/** After so many everything but the guarded keys is forgotten. */
const HISTORY = 1000

await t.test(`${COUNT} fuzzed changes through the pure parts, seed ${FUZZ_SEED}`, async t => {
  const guard = new Map(
    Object.entries({
      'host/n1/workload/lab/server/endpoint/eth0': endpoint('server', 1),
      'host/n1/workload/lab/friend/endpoint/eth0': endpoint('friend', 2),
      'host/n1/workload/lab/stranger/endpoint/eth0': endpoint('stranger', 3),
      'policy/profile/server/rules': {
        inbound_rules: [{ action: 'allow', src_tag: 'friend' }],
        outbound_rules: [],
      },
      'policy/profile/server/tags': [],
      'policy/profile/friend/tags': ['friend'],
      'policy/profile/friend/rules': { inbound_rules: [], outbound_rules: [{ action: 'allow' }] },
      'policy/profile/stranger/rules': { inbound_rules: [], outbound_rules: [{ action: 'allow' }] },
    }).map(([path, value]) => [ROOT + path, JSON.stringify(value)]),
  )
  const tree = new ModelTree()
  const engine = new PolicyEngine('n1')
  const renderer = new Renderer({
    interfacePrefixes: ['cali'],
    bridges: [],
    markMask: 0xff000000,
    onAllow: 'accept',
    nodeToWorkload: 'allow',
    workloadToNode: 'allow',
    dropLog: { enabled: false, group: 0, perSecond: 0 },
    cutTimeout: 600,
    bridgeFilter: true,
    protocolNames: new Map(),
  })
  const membersOf = (id: string) => [...(engine.setMembers(id)?.addresses() ?? [])].map(memberOf)
  const take = (changes: readonly ModelChange[]) => {
    for (const change of changes) engine.update(change)
    const { sets, chains } = renderer.render(engine.take(), membersOf)
    for (const { rules } of chains) assertPlainLines(rules ?? [])
    for (const { added } of sets) assertPlainLines(added)
  }
  const passes = (from: number) =>
    permits(
      engine,
      {
        family: 4,
        path: 'forward',
        source: `10.9.0.${from}`,
        destination: '10.9.0.1',
        protocol: 17,
        sourcePort: 1,
        destinationPort: 2,
      },
      { nodeToWorkload: 'allow', workloadToNode: 'allow' },
    )
  take(tree.snapshot(guard))
  const before = engine.whole()
  const spoilt = new Set<string>()
  let [tried, opened, unlike, keys] = [0, 0, 0, 0]
  for (const change of fuzz(guard, COUNT)) {
    take(tree.change([change]))
    if (passes(3)) opened++
    if (!guard.has(change.key)) spoilt.add(change.key)
    if (++tried % HISTORY > 0) continue
    // Without the rest all is as it was, though the store holds refused values of it.
    take(tree.change([...spoilt].map(key => ({ key, value: null }))))
    keys += spoilt.size
    spoilt.clear()
    if (!passes(2) || !isDeepStrictEqual(engine.whole(), before)) unlike++
  }
  t.equal(opened, 0, 'a denied flow is denied after each of them')
  t.equal(unlike, 0, 'what was enforced before stays enforced')
  const refused = [...guard.keys()].filter(key => tree.lastGoodStands(key)).length
  t.ok(refused > 0)
  t.comment(`${tried} changes, ${keys} keys; ${refused} of ${guard.size} guarded keys hold refused values`)
})

function endpoint(profile: string, number: number): object {
  return {
    state: 'active',
    name: `cali-${profile}`,
    profile_ids: [profile],
    ipv4_nets: [`10.9.0.${number}/32`],
    ipv6_nets: [`fd09::${number}/128`],
  }
}
