import { existsSync } from 'node:fs'
import t from 'tap'
import { icmpPacket, sctpInitPacket, tcpPacket, udpPacket } from '../../src/lab/packet.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { moment } from '../../src/lab/probe.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { address, FAMILIES, matrix, podOf, populated, until } from './support/populated-lab.ts'

const { skip } = await enterSandbox()

for (const backend of ['nft', 'legacy'] as const)
  t.test(`rules in a node are seen by the probes: ${backend}`, { skip }, async t => {
    const lab = await populated(t, backend)
    const { probe } = lab
    const [r1, r2, b1, b2, r3] = ['r1', 'r2', 'b1', 'b2', 'r3'].map(name => podOf(lab, name)) as LabPod[]
    const node1 = lab.node('node1')

    await t.test('a DROP for one pod in one family', async t => {
      await node1.iptables(4, [
        '-A',
        'FORWARD',
        '-d',
        r1!.address4!,
        '-p',
        'tcp',
        '--dport',
        '80',
        '-j',
        'DROP',
      ])
      const four = await matrix(lab, 4, 'tcp', (from, to) => to !== r1 || from === to)
      t.equal(four.denied, 5, four.text)
      t.same(four.wrong, [], 'a pod reaches itself without leaving')
      t.same((await matrix(lab, 6, 'tcp', () => true)).wrong, [], 'the other family is untouched')
      t.same((await matrix(lab, 4, 'udp', () => true)).wrong, [], 'another protocol is untouched')
      const wrong = await matrix(lab, 4, 'tcp', () => true)
      t.equal(wrong.wrong.length, 5, 'a wrong expectation is reported')
      t.match(wrong.text, '! r2 -> r1: allow expected, observed timeout')
      await node1.iptables(4, ['-F', 'FORWARD'])
    })

    const bridged = existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables')
    await t.test('pods on one bridge', { skip: bridged ? false : 'needs br_netfilter' }, async t => {
      for (const family of FAMILIES) {
        await node1.iptables(family, ['-A', 'FORWARD', '-i', 'cbr0', '-o', 'cbr0', '-j', 'DROP'])
        const expected = (from: LabPod, to: LabPod) => from === to || !(pair.has(from) && pair.has(to))
        const pair = new Set([b1, b2])
        const result = await matrix(lab, family, 'tcp', expected)
        t.equal(result.denied, 2, `IPv${family}\n${result.text}`)
        t.same(result.wrong, [])
        await node1.iptables(family, ['-F', 'FORWARD'])
      }
    })

    const once = backend === 'nft' ? false : 'rules of the other backend have shown it'
    await t.test('a refusal is told from silence', { skip: once }, async t => {
      for (const family of FAMILIES) {
        const closed = { address: address(r1!, family), port: 81 }
        t.equal((await probe.tcp(r3!, closed)).outcome, 'refused')
        t.equal((await probe.udp(r3!, closed)).outcome, 'refused')
        const reject = family === 4 ? 'icmp-host-unreachable' : 'icmp6-addr-unreachable'
        await node1.iptables(family, ['-A', 'FORWARD', '-p', 'tcp', '-j', 'REJECT', '--reject-with', reject])
        const rejected = await probe.tcp(r3!, { ...closed, port: 80, timeoutMs: 2000 })
        t.equal(rejected.outcome, 'unreachable')
        await node1.iptables(family, ['-F', 'FORWARD'])
      }
    })

    await t.test('source and destination translation show in what the server saw', async t => {
      const service = '10.96.0.1'
      await node1.iptables(4, [
        ...['-t', 'nat', '-A', 'PREROUTING', '-d', service, '-p', 'tcp', '--dport', '8080'],
        ...['-j', 'DNAT', '--to-destination', `${r3!.address4}:80`],
      ])
      const straight = await probe.tcp(r1!, { address: service, port: 8080, sourcePort: 40001 })
      t.match(straight, { outcome: 'open', peer: r1!.address4, peerPort: 40001 })
      await node1.iptables(4, ['-t', 'nat', '-A', 'POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE'])
      const hidden = await probe.tcp(r1!, { address: service, port: 8080 })
      t.match(hidden, { outcome: 'open', peer: node1.address4 })
      const datagram = await probe.oneWay(r1!, { address: r3!.address4!, port: 53, count: 3 })
      t.same(datagram, { sent: 3, arrived: 3, peer: node1.address4 })
      await node1.iptables(4, ['-t', 'nat', '-F'])
    })

    await t.test('a spoofed source arrives unless a rule stops it', async t => {
      for (const family of FAMILIES) {
        const [victim, from, target] = [address(r2!, family), r1!, r3!]
        const ends = { source: victim, destination: address(target, family) }
        const data = Buffer.from(`spoof-${backend}-${family}`)
        const udp = udpPacket({ ...ends, sourcePort: 4000, destinationPort: 53 }, data)
        const syn = { ...ends, sourcePort: 4000, destinationPort: 80, sequence: 0x5ead0000 + family }
        const tcp = tcpPacket({ ...syn, flags: ['syn'] })
        const frame = { interface: 'eth0', from: '02:de:ad:be:ef:00', to: from.gatewayMac }
        const sequence = Buffer.from(tcp.subarray(family === 4 ? 24 : 44, family === 4 ? 28 : 48))
        const sends = [
          { packet: udp, to: ends.destination, match: data },
          { packet: udp, frame, match: data },
          { packet: tcp, to: ends.destination, match: sequence },
        ]
        for (const send of sends) {
          const open = await probe.inject(from, { ...send, seenAt: target, count: 5 })
          t.same(open, { sent: 5, arrived: 5 }, `IPv${family} ${Object.keys(send)}`)
        }
        const spoof = ['-i', from.interface, '-s', victim, '-j', 'DROP']
        await node1.iptables(family, ['-t', 'raw', '-A', 'PREROUTING', ...spoof])
        for (const send of sends) {
          const shut = await probe.inject(from, { ...send, seenAt: target, count: 5, timeoutMs: 200 })
          t.same(shut, { sent: 5, arrived: 0 })
        }
        const counted = await node1.iptables(family, ['-t', 'raw', '-L', 'PREROUTING', '-nvx'])
        t.match(counted, / 15 +[0-9]+ DROP/, 'the rule saw all of them')
        await node1.iptables(family, ['-t', 'raw', '-F'])
      }
    })
  })

t.test('packets of any kind', { skip }, async t => {
  const lab = await populated(t, 'nft')
  const { probe } = lab
  const [r1, b1, b2, r3] = ['r1', 'b1', 'b2', 'r3'].map(name => podOf(lab, name)) as LabPod[]
  const node1 = lab.node('node1')

  await t.test('the kernel takes them for good ones and answers', async t => {
    for (const family of FAMILIES) {
      const ends = { source: address(r1!, family), destination: address(r3!, family) }
      const data = Buffer.from(`odd number of bytes ${family}.`)
      const ports = { ...ends, sourcePort: 4001 }
      const sequence = 0x12345600 + family
      const answer = Buffer.alloc(4)
      answer.writeUInt32BE(sequence + 1)
      const packets = [
        { packet: udpPacket({ ...ports, destinationPort: 53 }, data), match: data },
        { packet: tcpPacket({ ...ports, destinationPort: 80, sequence, flags: ['syn'] }), match: answer },
        { packet: icmpPacket({ ...ends, type: family === 4 ? 8 : 128, code: 0 }, data), match: data },
      ]
      for (const given of packets)
        t.equal((await probe.inject(r1!, { ...given, to: ends.destination, seenAt: r1! })).arrived, 1)
    }
  })

  await t.test('ICMP by type and code', async t => {
    for (const [family, type, code] of [
      [4, 13, 0],
      [4, 3, 9],
      [6, 1, 4],
      [6, 200, 7],
    ] as const) {
      const ends = { source: address(r1!, family), destination: address(r3!, family) }
      const body = Buffer.from(`....type-${type}-${code}-of-${family}`)
      const packet = icmpPacket({ ...ends, type, code }, body)
      const given = { packet, to: ends.destination, seenAt: r3!, match: body }
      t.same(await probe.inject(r1!, given), { sent: 1, arrived: 1 })
      const name = family === 4 ? ['icmp', '--icmp-type'] : ['icmpv6', '--icmpv6-type']
      const rule = ['FORWARD', '-p', ...name, `${type}/${code}`, '-j', 'DROP']
      await node1.iptables(family, ['-A', ...rule])
      t.same(
        await probe.inject(r1!, given),
        { sent: 1, arrived: 0 },
        'the kernel reads type and code likewise',
      )
      await node1.iptables(family, ['-D', ...rule])
    }
  })

  await t.test('neighbour discovery and advertisements between pods of one bridge', async t => {
    for (const [type, source] of [
      [134, b1!.linkLocal],
      [135, b1!.linkLocal],
      [136, 'fe80::dead'],
    ] as const) {
      const body = Buffer.concat([Buffer.alloc(20), Buffer.from([253, 2]), Buffer.from(`mark of ${type}..`)])
      const header = { source, destination: b2!.linkLocal, type, code: 0, hops: 255 }
      const packet = icmpPacket(header, body)
      const given = { packet, to: `${b2!.linkLocal}%eth0`, seenAt: b2!, match: body.subarray(22) }
      t.same(await probe.inject(b1!, given), { sent: 1, arrived: 1 }, `type ${type}`)
    }
    const hello = udpPacket(
      { source: b1!.linkLocal, destination: b2!.linkLocal, sourcePort: 9, destinationPort: 9 },
      Buffer.from('link-local hello'),
    )
    const frame = { interface: 'eth0', from: b1!.mac, to: b2!.mac }
    const sent = { packet: hello, frame, seenAt: b2!, match: Buffer.from('link-local hello') }
    t.equal((await probe.inject(b1!, sent)).arrived, 1)
    t.equal((await probe.inject(r1!, { ...sent, frame: { ...frame, to: r1!.gatewayMac } })).arrived, 0)
  })

  await t.test('an SCTP chunk that connection tracking takes for a good one', async t => {
    for (const family of FAMILIES) {
      const ends = { source: address(r1!, family), destination: address(r3!, family) }
      const packet = sctpInitPacket({ ...ends, sourcePort: 7000, destinationPort: 7001, tag: 0xabcd1234 })
      const given = { packet, to: ends.destination, seenAt: r3!, match: packet.subarray(-20) }
      const rule = ['FORWARD', '-p', 'sctp', '--dport', '7001', '-m', 'conntrack', '--ctstate', 'NEW']
      t.equal((await probe.inject(r1!, given)).arrived, 1)
      await node1.iptables(family, ['-A', ...rule, '-j', 'DROP'])
      t.equal((await probe.inject(r1!, { ...given, timeoutMs: 200 })).arrived, 0)
      await node1.iptables(family, ['-F', 'FORWARD'])
    }
  })

  await t.test('what comes to a place is not yet what it is given', async t => {
    for (const family of FAMILIES) {
      const ends = {
        source: address(b1!, family),
        destination: family === 4 ? node1.address4 : node1.address6,
      }
      const packet = sctpInitPacket({ ...ends, sourcePort: 7000, destinationPort: 7001, tag: 0xabcd5678 })
      const given = {
        packet,
        to: ends.destination,
        seenAt: node1,
        match: packet.subarray(-20),
        timeoutMs: 500,
      }
      const rule = ['INPUT', '-p', 'sctp', '--dport', '7001', '-j', 'DROP']
      t.equal((await probe.inject(b1!, { ...given, delivered: true })).arrived, 1)
      await node1.iptables(family, ['-A', ...rule])
      t.equal((await probe.inject(b1!, { ...given, delivered: true, timeoutMs: 200 })).arrived, 0)
      t.equal((await probe.inject(b1!, given)).arrived, 1, 'seen before the rules')
      await node1.iptables(family, ['-D', ...rule])
    }
  })

  await t.test('captures count both ways from a moment on', async t => {
    const filter = { protocol: 17, toPort: 53, to: r3!.address4! }
    const [atPod, atNode] = [
      await probe.capture(r3!, filter),
      await probe.capture(node1, { ...filter, interface: 'eth0' }),
    ]
    await probe.oneWay(r1!, { address: r3!.address4!, port: 53, count: 4 })
    t.ok(await until(async () => (await atPod.read()).came === 4))
    t.same(await atNode.read(), { came: 0, left: 4 })
    const later = moment()
    await probe.oneWay(r1!, { address: r3!.address4!, port: 53, count: 2 })
    await probe.oneWay(r1!, { address: r3!.address4!, port: 80, count: 1, timeoutMs: 50 })
    t.ok(await until(async () => (await atPod.read(later)).came === 2))
    t.equal((await atPod.read()).came, 6)
    await atPod.stop()
    await t.rejects(atPod.read())
  })

  await t.test('unusable requests are refused', async t => {
    await t.rejects(
      probe.tcp({ namespace: 'nowhere' }, { address: '10.0.0.1', port: 1 }),
      /no namespace nowhere/,
    )
    await t.rejects(probe.tcp(r1!, { address: 'host.example', port: 1 }), /bad address/)
    await t.rejects(probe.tcp(r1!, { address: '10.0.0.1 x=y', port: 1 }), /blank/)
    t.throws(() =>
      udpPacket(
        { source: '10.0.0.1', destination: 'fd00::1', sourcePort: 1, destinationPort: 1 },
        Buffer.alloc(0),
      ),
    )
    await t.rejects(lab.addPods([{ name: 'r1', node: node1, kind: 'routed' }]), /taken/)
    await t.rejects(lab.addPods([{ name: 'a;b', node: node1, kind: 'routed' }]), /name/)
    t.throws(() => lab.node('node9'), /no node node9/)
  })
})

t.test('flows', { skip }, async t => {
  const lab = await populated(t, 'nft')
  const { probe } = lab
  const [r1, r3] = [podOf(lab, 'r1'), podOf(lab, 'r3')]
  const node1 = lab.node('node1')

  for (const protocol of ['tcp', 'udp'] as const)
    for (const family of FAMILIES)
      await t.test(`${protocol} over IPv${family}`, async t => {
        const flow = await probe.flow(r1, {
          protocol,
          address: address(r3, family),
          port: protocol === 'tcp' ? 80 : 53,
          rate: 200,
        })
        t.equal(flow.peer, address(r1, family))
        t.equal(flow.peerPort, flow.clientPort)
        t.ok(
          await until(async () => {
            const { up, down } = await flow.read()
            return up.received >= 20 && down.received >= 20
          }),
          'both directions flow',
        )
        await flow.direct('down')
        const before = (await flow.read()).up.sent
        const quiet = moment()
        t.ok(await until(async () => (await flow.read(quiet)).down.received >= 10), 'the server alone sends')
        const state = await flow.read()
        t.equal(state.up.sent, before, 'the client is silent')
        t.equal(state.up.receivedInAll, before, 'and all it sent has arrived')
        t.equal(state.retransmitted, 0)

        await node1.iptables(family, ['-A', 'FORWARD', '-p', protocol, '-j', 'DROP'])
        const shut = moment()
        const sent = (await flow.read()).down.sent
        t.ok(await until(async () => (await flow.read()).down.sent > sent + 20))
        const silent = await flow.read(shut)
        t.equal(silent.down.received + silent.up.received, 0, 'nothing arrives under the rule')
        t.ok(silent.down.lastAt < shut)
        if (protocol === 'tcp') t.ok(await until(async () => (await flow.read()).retransmitted > 0))

        await node1.iptables(family, ['-F', 'FORWARD'])
        const open = moment()
        t.ok(
          await until(async () => (await flow.read(open)).down.received >= 5),
          'the flow goes on without it',
        )
        const after = await flow.read()
        t.ok(after.down.longestGap > (silent.down.lastAt > 0 ? 50 : 0), 'the silence shows as a gap')
        if (protocol === 'udp') t.ok(after.down.receivedInAll <= after.down.sent - 20, 'and as a loss')
        t.equal(after.state, 'open')
        await flow.stop()
        await t.rejects(flow.read())
      })

  await t.test('what ought never to arrive, and does as soon as it may', async t => {
    await node1.iptables(4, ['-A', 'FORWARD', '-p', 'udp', '-j', 'DROP'])
    const target = { address: r3.address4!, port: 53, rate: 500 }
    const flow = await probe.flow(r1, { protocol: 'udp', unanswered: true, ...target })
    t.equal(flow.peer, null)
    t.ok(await until(async () => (await flow.read()).up.sent >= 50))
    t.equal((await flow.read()).up.received, 0)
    await node1.iptables(4, ['-F', 'FORWARD'])
    t.ok(await until(async () => (await flow.read()).up.received >= 5))
    await flow.stop()
  })

  await t.test('no server, no flow', async t => {
    await t.rejects(probe.flow(r1, { protocol: 'tcp', address: r3.address4!, port: 99 }), /refused/)
    await t.rejects(
      probe.flow(r1, { protocol: 'udp', address: r3.address4!, port: 99, timeoutMs: 100 }),
      /timeout|refused/,
    )
  })
})
