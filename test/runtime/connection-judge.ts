import t from 'tap'
import type { Flow } from '../../src/kernel/conntrack.ts'
import type { LocalEndpoint } from '../../src/policy/outcome.ts'
import { connectionJudge } from '../../src/runtime/connection-judge.ts'

function flow(source: string, destination: string): Flow {
  return { family: 4, source, destination, protocol: 6, sourcePort: 1, destinationPort: 2 }
}

/** `10.0.0.1` is a workload without any profile, so that nothing is allowed to it or from it. */
const CLOSED: LocalEndpoint = {
  id: 'web',
  interface: 'cali1',
  mac: null,
  addresses4: ['10.0.0.1'],
  addresses6: [],
  closed: null,
  ingress: { tiers: [], profiles: [] },
  egress: { tiers: [], profiles: [] },
}

t.test('what policy says of an open connection', async t => {
  let asked = 0
  let node = ['192.0.2.1']
  let nodeToWorkload: 'allow' | 'policy' = 'allow'
  const open = () =>
    connectionJudge({
      view: {
        endpoint: () => undefined,
        list: () => undefined,
        setMembers: () => undefined,
        localByAddress: address => (address === '10.0.0.1' ? [CLOSED] : []),
      },
      settings: () => ({ nodeToWorkload, workloadToNode: 'allow' }),
      nodeAddresses: () => {
        asked++
        return new Set(node)
      },
    })
  const judge = open()
  t.equal(judge(flow('10.0.0.2', '10.0.0.3')), 'not ours')
  t.equal(asked, 0, "the node's addresses are read when they are needed")
  t.equal(judge(flow('10.0.0.1', '10.0.0.2')), 'deny')
  t.equal(judge(flow('10.0.0.2', '10.0.0.1')), 'deny')
  t.equal(judge(flow('192.0.2.1', '10.0.0.1')), 'allow', "the node's own")
  t.equal(asked, 1)
  nodeToWorkload = 'policy'
  t.equal(judge(flow('192.0.2.1', '10.0.0.1')), 'deny', 'by the settings that hold now')
  nodeToWorkload = 'allow'
  node = []
  t.equal(open()(flow('192.0.2.1', '10.0.0.1')), 'deny', 'each judge reads the addresses anew')
})
