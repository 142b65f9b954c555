import type { KeyChange } from '../../src/source/event.ts'
import { ROOT } from '../../src/source/v1-tree.ts'
import { playScenarios } from '../stage.ts'
import { openFlows, serve, straight } from './support/flows.ts'
import { openScene } from './support/scene.ts'
import { serviceAddress, serviceRules } from './support/services.ts'

const CHANGES = process.env.PODFENCE_E2E === 'quick' ? 200 : 1000
const PORTS = [7000, 7001, 7002]
const SERVER_RULE = { action: 'allow', src_tag: 'caller', src_selector: "role != 'stranger'" }

const json = (value: unknown) => JSON.stringify(value)
const endpoint = (host: string, name: string, number: number, more: object = {}): [string, string] => [
  `${ROOT}host/${host}/workload/lab/${name}/endpoint/eth0`,
  json({
    state: 'active',
    name: `cali${name}`,
    profile_ids: ['caller', 'busy'],
    ipv4_nets: [`10.67.0.${number}/32`],
    ipv6_nets: [`fd67::${number}/128`],
    labels: { number: String(number) },
    ...more,
  }),
]

/** What happens around two pods that talk: each entry is one write, and comes again with other values. */
function change(turn: number): KeyChange {
  const round = Math.floor(turn / KINDS)
  const put = ([key, value]: readonly [string, string]) => ({ key, value })
  const gone = ([key]: readonly [string, string]) => ({ key, value: null })
  const [away, here] = [endpoint('n3', 'away', 1 + (round % 200)), endpoint('n1', 'here', 201)]
  const profile = (id: string, inbound: readonly object[]) =>
    [
      `${ROOT}policy/profile/${id}/rules`,
      json({ inbound_rules: inbound, outbound_rules: [{ action: 'allow' }] }),
    ] as const
  const passing = [{ action: 'next-tier' }]
  const policy = [
    `${ROOT}policy/tier/around/policy/p`,
    json({ selector: 'has(role)', order: round, inbound_rules: passing, outbound_rules: passing }),
  ] as const
  switch (turn % KINDS) {
    case 0:
      return put(away) // a member of the set by which the server knows its callers
    case 1:
      return put(here) // a pod of the client's node
    case 2:
      return put(profile('busy', [{ action: 'allow', protocol: 'tcp', dst_ports: [1 + round] }]))
    case 3:
      return put(endpoint('n1', 'here', 201, { labels: { turn: String(round) } }))
    case 4:
      return put(
        profile('server', [SERVER_RULE, { action: 'deny', protocol: 'udp', dst_ports: [1 + round] }]),
      )
    case 5:
      return put(policy) // passes everything on, of the client too
    case 6:
      return gone(here)
    case 7:
      return put([`${ROOT}policy/profile/caller/labels`, json({ round: String(round) })])
    case 8:
      return gone(policy)
    default:
      return gone(away)
  }
}
const KINDS = 10

await playScenarios({}, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const { pods } = await openScene(stage, variant, {
    client: 'n1 routed',
    near: 'n1 routed',
    far: 'n2 routed',
  })
  const { client, near, far } = pods
  const servers = [near, far]
  const { families } = variant
  await serve(probe, servers, PORTS)
  await serviceRules(lab.node('n1'), servers, families)
  const nets = [lab.node('n1').address4, lab.node('n1').address6]
  await stage.show({
    endpoints: [
      { pod: client, profiles: ['caller'], labels: { role: 'client' } },
      ...servers.map(pod => ({ pod, profiles: ['masqueraded', 'server'] })),
    ],
    profiles: {
      caller: { tags: ['caller'] },
      server: { inbound: [SERVER_RULE] },
      masqueraded: { inbound: nets.map(src_net => ({ action: 'allow', src_net })) },
    },
    raw: { [`${ROOT}policy/tier/around/metadata`]: json({ order: 1 }) },
  })
  const pairs = servers.map(server => [client, server] as const)
  const flows = await openFlows(
    probe,
    [
      ...straight(pairs, families, 7000),
      ...pairs.flatMap(([, server]) =>
        straight([[client, server]], families, 7001).map(way => ({
          ...way,
          name: `${way.name} through a service`,
          address: serviceAddress(servers, server, way.address.includes(':') ? 6 : 4),
        })),
      ),
      ...straight(pairs, families, 7002).map(way => ({ ...way, name: `${way.name} masqueraded` })),
    ],
    ['both'],
  )
  await t.test(`open connections survive ${CHANGES} changes around them`, async t => {
    // Changes that wait for the kernel go there together; every fifth makes sure that there is no end of commits.
    for (let turn = 0; turn < CHANGES; turn++) await stage.write([change(turn)], turn % 5 === 0)
    await stage.enforced(60_000)
    await flows.flowing(t, 'all still flow')
    await flows.unharmed(t, 'no record is lost, no segment is sent twice')
  })
})
