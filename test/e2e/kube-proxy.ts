import type { LabPod } from '../../src/lab/pod.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import type { Family } from '../../src/model/values.ts'
import { playScenarios } from '../stage.ts'
import { countingRules } from './support/counters.ts'
import { foreignText } from './support/foreign-text.ts'
import { type Attempt, tryFrames } from './support/frames.ts'
import { kubeProxyRules, MASQUERADE_MARK, type ProxiedService, REFUSED_PORT } from './support/kube-proxy.ts'

/** All bits of the mark that podfence may use by default. */
const OUR_MARKS = '0x0/0xff000000'

interface Addresses {
  readonly address4: string | null
  readonly address6: string | null
}

function addressOf({ address4, address6 }: Addresses, family: Family): string {
  return (family === 4 ? address4 : address6)!
}

/** An address that becomes the pod's, and nothing more. */
function plainAddress(served: readonly LabPod[], pod: LabPod, family: Family): string {
  return `${family === 4 ? '10.97.0.' : 'fd97::'}${10 + served.indexOf(pod)}`
}

/** A node with the rules of kube-proxy: services, node ports, pods that call themselves, and its marks. */
await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe, external } = lab
  const n1 = lab.node('n1')
  const place = (name: string, node: string, kind: LabPod['kind']) => {
    return { name, node: lab.node(node), kind, hairpin: true }
  }
  const pods = await lab.addPods([
    place('web', 'n1', 'routed'),
    place('bridged', 'n1', 'bridge'),
    place('client', 'n1', 'routed'),
    place('mate', 'n1', 'bridge'),
    place('stranger', 'n1', 'routed'),
    place('inactive', 'n1', 'routed'),
    place('far', 'n2', 'routed'),
  ])
  const [web, bridged, client, mate, stranger, inactive, far] = pods as [
    LabPod,
    LabPod,
    LabPod,
    LabPod,
    LabPod,
    LabPod,
    LabPod,
  ]
  const served = [web, bridged, inactive, far]
  const services: ProxiedService[] = served.map((pod, index) => ({
    address4: `10.96.0.${10 + index}`,
    address6: `fd96::${10 + index}`,
    port: 80,
    pod,
    nodePort: 30080 + index,
  }))
  for (const pod of served) await probe.listen(pod, { protocol: 'tcp', port: 80 })
  for (const port of [8080, REFUSED_PORT]) await probe.listen(n1, { protocol: 'tcp', port })
  const theirs = await Promise.all(
    variant.families.map(async family => {
      await kubeProxyRules(n1, services, family)
      for (const { pod } of services)
        await n1.iptables(family, [
          ...['-t', 'nat', '-A', 'PREROUTING', '-d', plainAddress(served, pod, family)],
          ...['-j', 'DNAT', '--to-destination', addressOf(pod, family)],
        ])
      return {
        family,
        left: await countingRules(
          n1,
          family,
          'POSTROUTING',
          {
            ours: `-m mark ! --mark ${OUR_MARKS}`,
            theirs: `-m mark --mark ${MASQUERADE_MARK}`,
          },
          'mangle',
        ),
        heard: await countingRules(n1, family, 'INPUT', { ours: `-m mark ! --mark ${OUR_MARKS}` }),
      }
    }),
  )
  const before = await foreignText(n1)
  const outside = [external.address4, external.address6, n1.address4, n1.address6]
  const world = (open: boolean): WorldWords => ({
    endpoints: [
      ...[web, bridged, far].map(pod => ({ pod, profiles: ['web'] })),
      { pod: inactive, profiles: ['web'], state: 'inactive' as const },
      ...[client, mate].map(pod => ({ pod, profiles: ['client'] })),
      { pod: stranger, profiles: ['stranger'] },
    ],
    profiles: {
      web: {
        inbound: [
          { action: 'allow', src_tag: 'client' },
          ...(open ? outside.map(src_net => ({ action: 'allow', src_net })) : []),
        ],
      },
      client: { tags: ['client'] },
      stranger: {},
    },
  })

  for (const { family, left, heard } of theirs)
    await t.test(`IPv${family}`, async t => {
      const own = (owner: Addresses) => addressOf(owner, family)
      const [toWeb, toBridged, toInactive, toFar] = services.map(own)
      const node = own(n1)
      /** Whichever of its addresses the kernel takes. */
      const nodes = [node, family === 4 ? n1.gateway4 : n1.gateway6]
      /** Who calls what; what the server sees, or null when nothing may come of it. */
      const ask = async (
        title: string,
        list: readonly (readonly [
          { namespace: string },
          string,
          number,
          string | readonly string[] | null,
        ])[],
      ) => {
        const wrong = await Promise.all(
          list.map(async ([from, address, port, seen]) => {
            const reply = await probe.tcp(from, { address, port, timeoutMs: seen === null ? 400 : 3000 })
            const asExpected =
              seen === null
                ? reply.outcome === 'timeout'
                : reply.peer !== null && [seen].flat().includes(reply.peer)
            return asExpected
              ? []
              : [`${from.namespace} to ${address} ${port}: ${reply.outcome}, seen as ${reply.peer}`]
          }),
        )
        t.same(wrong.flat(), [], title)
      }

      await stage.show(world(true))
      await ask("a service has its pods' policy, and shows the client", [
        [client, toWeb!, 80, own(client)],
        [client, toBridged!, 80, own(client)],
        [mate, toWeb!, 80, own(mate)],
        [mate, toBridged!, 80, own(mate)],
        [client, toFar!, 80, own(client)],
        [stranger, toWeb!, 80, null],
        [stranger, toBridged!, 80, null],
        [stranger, toFar!, 80, null],
        [client, toInactive!, 80, null],
      ])
      await ask('a node port is judged by the client and masqueraded afterwards', [
        [external, node, 30080, nodes],
        [external, node, 30081, nodes],
        [external, node, 30082, null],
        [external, node, 30083, nodes],
      ])
      await ask(
        'a pod calls itself through its service, whatever its policy says; one that is closed does not',
        [
          [web, toWeb!, 80, nodes],
          [bridged, toBridged!, 80, nodes],
          [inactive, toInactive!, 80, null],
        ],
      )
      const itself = (pod: LabPod, passes: boolean): Attempt => ({
        title: pod.name,
        from: pod,
        content: { source: own(pod), destination: plainAddress(served, pod, family), ports: [4000, 8080] },
        seenAt: pod,
        passes,
      })
      await tryFrames(t, probe, 'likewise where nobody masquerades it', [
        itself(web, true),
        itself(bridged, true),
        itself(inactive, false),
      ])
      await ask('straight to itself', [[web, own(web), 80, own(web)]])
      await ask('the node itself', [
        [n1, toWeb!, 80, nodes],
        [n1, toInactive!, 80, nodes],
      ])
      await ask('what they mark for their firewall is dropped by it', [
        [client, node, 8080, own(client)],
        [client, node, REFUSED_PORT, null],
      ])
      await stage.show(world(false))
      await ask('policy closes the node ports', [
        [external, node, 30080, null],
        [external, node, 30081, null],
        [external, node, 30083, null],
        [client, toWeb!, 80, own(client)],
      ])
      const { ours, theirs: masqueraded } = await left.read()
      t.equal(ours, 0, 'no packet leaves with a mark of ours')
      t.not(masqueraded, 0, 'theirs are kept')
      t.equal((await heard.read()).ours, 0, 'nor does one come to the node with a mark of ours')
    })
  t.equal(await foreignText(n1), before, 'nothing of theirs has changed')
})
