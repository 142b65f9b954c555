import { ROUTED_GATEWAY } from '../../src/lab/address-plan.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import type { Family } from '../../src/model/values.ts'
import { playScenarios } from '../stage.ts'
import { countingRules } from './support/counters.ts'
import { openFlows, serve, straight } from './support/flows.ts'
import { type Attempt, type Content, tryFrames } from './support/frames.ts'
import { openScene } from './support/scene.ts'

/**
 * `friend` and `mate` take what comes from `victim` and `prey`, and from nobody else. The attackers, whose own traffic
 * goes nowhere, borrow sources that would pass.
 */
await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const scene = await openScene(stage, variant, {
    attacker: 'n1 routed',
    victim: 'n1 routed',
    friend: 'n1 routed',
    unknown: 'n1 routed',
    far: 'n2 routed',
    robber: 'n1 bridge',
    prey: 'n1 bridge',
    mate: 'n1 bridge',
    nobody: 'n1 bridge',
  })
  const { attacker, victim, friend, far, robber, prey, mate } = scene.pods
  const n1 = lab.node('n1')
  const trusted = {
    inbound: [
      { action: 'allow', src_tag: 'trusted' },
      ...[n1.address4, n1.address6, lab.external.address4, lab.external.address6].map(src_net => ({
        action: 'allow',
        src_net,
      })),
    ],
  }
  await serve(probe, [friend, mate], [8080])
  await stage.show({
    endpoints: [
      ...[attacker, robber].map(pod => ({ pod, profiles: ['attacker'] })),
      ...[victim, prey, far].map(pod => ({ pod, profiles: ['trusted'] })),
      ...[friend, mate].map(pod => ({ pod, profiles: ['server'] })),
    ],
    profiles: { attacker: {}, trusted: { tags: ['trusted'] }, server: trusted },
  })
  const { families } = variant
  const own = (pod: LabPod, family: Family) => (family === 4 ? pod.address4 : pod.address6)!

  const routedAndBridged = [
    [victim, friend],
    [prey, mate],
  ] as const

  for (const family of families)
    await t.test(`borrowed sources, IPv${family}`, async t => {
      const flows = await openFlows(probe, straight(routedAndBridged, [family], 8080), ['both'])
      t.teardown(() => flows.stop())
      const borrowed = flows.all.map(({ name, way, protocol, flow }) => ({
        title: `the ports of ${name} ${protocol}`,
        from: way.client === victim ? attacker : robber,
        to: way.client === victim ? friend : mate,
        content: {
          source: own(way.client as LabPod, family),
          ports: [flow.clientPort, 8080] as const,
          ...(protocol === 'tcp' ? { tcp: true as const } : {}),
        },
      }))
      const stranger = family === 4 ? '10.65.1.200' : 'fd65:0:0:1::200'
      const onBridge = family === 4 ? '10.66.1.200' : 'fd66:0:0:1::200'
      const external = family === 4 ? lab.external.address4 : lab.external.address6
      const node = family === 4 ? n1.address4 : n1.address6
      const sources = [
        ['of a pod of the same node', own(victim, family)],
        ['of a pod on the bridge', own(prey, family)],
        ['of a pod on another node', own(far, family)],
        ['of nobody', stranger],
        ['of nobody on the bridge', onBridge],
        ['of the node', node],
        ['of a host elsewhere', external],
        ['of the receiver', null],
      ] as const
      const attempts: Attempt[] = [
        ...borrowed.map(({ content, to, ...rest }) => ({ ...rest, to, content })),
        ...sources.flatMap(([title, source]) =>
          (
            [
              [attacker, friend],
              [attacker, mate],
              [robber, friend],
              [robber, mate],
            ] as const
          ).map(([from, to]) => ({
            title: `a source ${title}`,
            from,
            to,
            content: { source: source ?? own(to, family) },
          })),
        ),
      ].map(({ title, from, to, content }) => ({
        title: `${from.name} to ${to.name}: ${title}`,
        from,
        // On one bridge the frame goes straight to the neighbour.
        ...(from.kind === 'bridge' && to.kind === 'bridge' ? { toMac: to.mac } : {}),
        content: { ...content, destination: own(to, family) } as Content,
        seenAt: to,
        passes: false,
      }))
      await tryFrames(t, probe, 'none comes through', attempts)
      const honest = (
        [
          [victim, friend],
          [victim, mate],
          [prey, friend],
          [prey, mate],
        ] as const
      ).map(([from, to]) => ({
        title: `${from.name} to ${to.name}`,
        from,
        ...(from.kind === 'bridge' && to.kind === 'bridge' ? { toMac: to.mac } : {}),
        content: { source: own(from, family), destination: own(to, family) },
        seenAt: to,
        passes: true,
      }))
      await tryFrames(t, probe, 'the same frames from their owners do', honest)
      const masked = honest
        .filter(({ from }) => from.kind === 'routed')
        .map(attempt => ({
          ...attempt,
          mac: attacker.mac,
          content: { ...attempt.content, ports: [4001, 80] as const },
          passes: false,
        }))
      await tryFrames(t, probe, "a new connection with another's hardware address does not", masked)
      await flows.unharmed(t, 'the flows that were borrowed from lost nothing')
    })

  await t.test('who is no endpoint sends and receives nothing', async t => {
    await stage.show({
      endpoints: [attacker, victim, friend, far, robber, prey, mate].map(pod => ({
        pod,
        profiles: ['open'],
      })),
      profiles: { open: { inbound: [{ action: 'allow' }] } },
    })
    await scene.reaches(
      t,
      'an interface of the prefix and a bridge port that no endpoint names',
      '80 u53 ping',
      `
                unknown  nobody  friend  mate  far  external
      unknown   -        X       X       X     X    X
      nobody    X        -       X       X     X    X
      friend    X        X       -       .     .    .
      mate      X        X       .       -     .    .
      far       X        X       .       .     -    .
      external  X        X       .       .     .    -
      `,
    )
  })

  if (families.includes(6))
    await t.test('link-local addresses and the messages of routers', async t => {
      const all = (
        type: number,
        from: LabPod,
        to: LabPod,
        hops: number,
        passes: boolean,
        source: string,
      ): Attempt => ({
        title: `type ${type} with hop limit ${hops} from ${source}`,
        from,
        toMac: to.mac,
        content: { source, destination: to.linkLocal, hops, icmp: [type, 0] },
        seenAt: to,
        passes,
      })
      const links = [prey.linkLocal, prey.address6!, '::']
      const attempts = links.flatMap(source => [
        ...[134, 137].flatMap(type => [255, 64].map(hops => all(type, prey, mate, hops, false, source))),
        ...[135, 136].flatMap(type => [
          all(type, prey, mate, 255, true, source),
          all(type, prey, mate, 64, false, source),
        ]),
        all(133, prey, mate, 64, false, source),
      ])
      const packet = (title: string, content: Omit<Content, 'destination'>): Attempt => ({
        title,
        from: prey,
        toMac: mate.mac,
        content: { ...content, destination: mate.linkLocal },
        seenAt: mate,
        passes: false,
      })
      await tryFrames(t, probe, 'between two pods of one bridge that may speak', [
        ...attempts,
        packet('a datagram from fe80::', { source: prey.linkLocal }),
        packet('a datagram from ::', { source: '::' }),
        packet('a TCP segment from fe80::', { source: prey.linkLocal, tcp: true }),
        packet('an echo request from fe80::', { source: prey.linkLocal, icmp: [128, 0] }),
        packet('a datagram from its own address to fe80::', { source: prey.address6! }),
      ])
    })

  if (families.includes(6))
    await t.test('what the node hears of routers and neighbours', async t => {
      const kinds = [133, 134, 135, 136, 137].flatMap(type => [255, 64].map(hops => ({ type, hops })))
      const counters = await countingRules(
        n1,
        6,
        'INPUT',
        Object.fromEntries(
          kinds.map(({ type, hops }) => [
            `${type}-${hops}`,
            `-s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type ${type} -m hl --hl-eq ${hops}`,
          ]),
        ),
      )
      for (const [from, to] of [
        [victim, ROUTED_GATEWAY.address6],
        [prey, 'fe80::1'],
      ] as const) {
        const before = await counters.read()
        const attempts = kinds.map(({ type, hops }) => ({
          title: `${from.name}: type ${type} with hop limit ${hops}`,
          from,
          content: { source: from.linkLocal, destination: to, hops, icmp: [type, 0] as const },
          // The node's interfaces see them all; what its rules saw is counted.
          seenAt: n1,
          passes: true,
        }))
        await tryFrames(t, probe, `${from.name} sends them`, attempts)
        const after = await counters.read()
        const heard = Object.keys(after).filter(name => after[name]! > before[name]!)
        t.same(heard, ['133-255', '135-255', '136-255'], 'only what comes from the link itself is heard')
      }
    })
})
