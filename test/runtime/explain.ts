import t from 'tap'
import { ModelTree } from '../../src/model/tree.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { RenderOptions } from '../../src/render/options.ts'
import { type ExplainNode, explain } from '../../src/runtime/explain.ts'

const OPTIONS: RenderOptions = {
  interfacePrefixes: ['cali'],
  bridges: ['cbr0'],
  markMask: 0x7000000,
  onAllow: 'accept',
  nodeToWorkload: 'allow',
  workloadToNode: 'allow',
  dropLog: { enabled: false, group: 1, perSecond: 1 },
}

/** Two bridge ports and a routed interface on one node; nobody may do anything. */
function node(
  render: Partial<RenderOptions> | null,
  nodeToWorkload: 'allow' | 'policy' = 'allow',
): ExplainNode {
  const view = new PolicyEngine('n1')
  const entries = new Map([['/calico/v1/policy/profile/none/rules', '{}']])
  for (const [name, device, address] of [
    ['left', 'veth1', '10.0.0.1'],
    ['right', 'veth2', '10.0.0.2'],
    ['routed', 'cali3', '10.0.0.3'],
  ])
    entries.set(
      `/calico/v1/host/n1/workload/k8s/${name}/endpoint/eth0`,
      `{"state":"active","name":"${device}","profile_ids":["none"],"ipv4_nets":["${address}"]}`,
    )
  for (const change of new ModelTree().snapshot(entries)) view.update(change)
  return {
    host: 'n1',
    view,
    render: render && { ...OPTIONS, ...render },
    settings: { nodeToWorkload, workloadToNode: 'allow' },
    addresses: ['192.0.2.1'],
    addressesOf: () => [],
    revision: '1',
  }
}

function ask(on: ExplainNode, source: string, destination: string, port = 80): string {
  const { verdict } = explain({ source, destination, protocol: 17, destinationPort: port }, on)
  return `${verdict.allow ? 'allowed' : 'denied'} by ${verdict.by}`
}

const LEFT = 'n1/k8s/left/eth0'
const RIGHT = 'n1/k8s/right/eth0'
const ROUTED = 'n1/k8s/routed/eth0'

t.test('behind no gate nothing is enforced, and explain says so', async t => {
  const open = node({ bridges: [] })
  t.equal(ask(open, LEFT, RIGHT), 'allowed by not enforced')
  t.equal(ask(open, '198.51.100.1', LEFT), 'allowed by not enforced')
  t.equal(ask(open, LEFT, 'node'), 'allowed by not enforced')
  t.equal(ask(open, LEFT, ROUTED), 'denied by end of profiles', 'the other side is judged')
  t.equal(ask(open, ROUTED, LEFT), 'denied by end of profiles')
  t.equal(ask(open, 'node', LEFT), 'allowed by node to workload')
  t.equal(
    ask(node({ bridges: [] }, 'policy'), 'node', LEFT),
    `denied by endpoint ${LEFT}`,
    'dispatched by address',
  )
  const { verdict } = explain({ source: LEFT, destination: RIGHT, protocol: 6 }, open)
  t.match(verdict.trail[0], { at: `endpoint ${LEFT}`, what: /NOT ENFORCED: .*no bridge is set/ })
})

t.test('a bridge that passes nothing to iptables', async t => {
  const blind = node({ bridgeFilter: false })
  t.equal(ask(blind, LEFT, RIGHT), 'allowed by not enforced')
  t.equal(ask(blind, LEFT, ROUTED), `denied by endpoint ${LEFT}`)
  t.equal(ask(blind, '198.51.100.1', LEFT), `denied by endpoint ${LEFT}`)
  t.equal(ask(blind, LEFT, 'node', 53), `denied by endpoint ${LEFT}`, 'the source check knows nobody there')
})

t.test('as it should be, or not known: policy decides', async t => {
  for (const well of [node({}), node(null)]) {
    t.equal(ask(well, LEFT, RIGHT), 'denied by end of profiles')
    t.equal(ask(well, LEFT, 'node', 53), 'allowed by DNS to the node')
  }
})
