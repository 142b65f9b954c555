import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import type { Packet } from '../../../src/kernel/fake/packet.ts'
import type { Backend } from '../../../src/kernel/fake/tool.ts'
import { enterSandbox } from '../../../src/lab/sandbox.ts'
import { one, SETS } from './random-rules.ts'
import { flushAll, lacks, must, restore } from './real-tools.ts'
import {
  buildRouter,
  CLIENT_MAC,
  countingTable,
  FENCE,
  type Sender,
  type Sent,
  startSender,
} from './router.ts'

/** The fake's walk against real packets. PODFENCE_SEED=7 tries other rules. */
const seed = Number(process.env.PODFENCE_SEED ?? 1)
const inside = await enterSandbox()
const skip = inside.skip || lacks('iptables-nft-restore', 'iptables-legacy-restore', 'ipset', 'ip', 'taskset')

const sent = fc
  .tuple(
    one('10.1.0.2', '10.1.0.3', '10.9.9.9'),
    fc.constantFrom(2001, 2002),
    one('10.2.0.2', '10.2.0.3'),
    fc.constantFrom(1001, 1002, 1003),
  )
  .map(([src, sport, dst, dport]) => ({ src, sport, dst, dport }))

const matches = fc
  .tuple(
    one('', '', '-s 10.1.0.2/32', '! -s 10.1.0.2/32', '-s 10.1.0.0/16', '-d 10.2.0.2/32', '! -d 10.2.0.0/31'),
    one('', '', '-i toc', '-i to+', '! -i tos', '-o tos', '! -o to+', '! -o toc'),
    one(
      ...['', '-p udp -m udp --dport 1001:1002', '-p udp -m udp ! --sport 2001', '! -p udp', '-p tcp'],
      ...['-p udp -m multiport --dports 1001,1003', '-p udp -m multiport ! --ports 1003,2001'],
    ),
    one(
      ...['', '-m mark --mark 0x1/0x1', '-m mark ! --mark 0x1/0x3', '-m set --match-set s4 src'],
      ...[
        '-m set ! --match-set n4 src',
        '-m set --match-set cut4 src,dst,dst',
        '-m set ! --match-set cut4 dst,src,src',
      ],
      ...['-m conntrack --ctstate NEW', '-m conntrack ! --ctstate NEW,ESTABLISHED', '-m ttl --ttl-eq 63'],
      ...[`-m mac --mac-source ${CLIENT_MAC}`, `-m mac ! --mac-source ${CLIENT_MAC}`],
      ...['-m physdev ! --physdev-in veth1', '-m addrtype --dst-type UNICAST'],
    ),
  )
  .map(parts => parts.filter(part => part !== '').join(' '))

const CHAINS = ['FORWARD', 'A', 'B', 'C']
const targets = [
  'DROP',
  'DROP',
  'ACCEPT',
  'RETURN',
  'MARK --set-xmark 0x1/0x3',
  'MARK --set-xmark 0x2/0x2',
  'LOG',
]

/** A chain calls only later ones, so there is no circle. */
const rule = fc
  .tuple(fc.nat(3), matches, one(...targets), one('', '', '-j', '-g'), fc.nat(2))
  .map(([at, text, target, verb, skipped]) => {
    const below = CHAINS[at + 1 + skipped]
    return `-A ${CHAINS[at]} ${text} ${verb === '' || below === undefined ? `-j ${target}` : `${verb} ${below}`}`
  })

const world = fc.record({
  raw: one(
    '',
    '-m rpfilter --invert -j DROP',
    '-s 10.1.0.3 -m conntrack --ctstate INVALID -j MARK --set-xmark 0x1/0x1',
    '-m ttl ! --ttl-eq 64 -j DROP',
    '-i toc ! -o tos -d 10.2.0.3 -j DROP',
  ),
  policy: one('ACCEPT', 'ACCEPT', 'DROP'),
  rules: fc.array(rule, { minLength: 4, maxLength: 10 }),
  sent: fc.array(sent, { minLength: 10, maxLength: 10 }),
})

function asWalked({ src, sport, dst, dport }: Sent): Packet {
  const fixed = {
    family: 4,
    path: 'forward',
    in: 'toc',
    out: 'tos',
    protocol: 'udp',
    ctstate: 'NEW',
  } as const
  return { ...fixed, src, dst, sport, dport, mac: CLIENT_MAC, hopLimit: 63 }
}

t.test('packets through a router go as the walk says', { skip }, async t => {
  buildRouter()
  for (const line of SETS) must('ipset', ...line.split(' '))
  const sender = startSender()
  t.teardown(sender.stop)
  for (const backend of ['nft', 'legacy'] as const) {
    const counts = { ACCEPT: 0, DROP: 0 }
    for (const each of fc.sample(world, { seed, numRuns: 15 }))
      for (const verdict of await compare(each, backend, sender)) counts[verdict]++
    t.ok(counts.ACCEPT > 20 && counts.DROP > 20, `${backend}: ${JSON.stringify(counts)}`)
    // What one backend drops the other must not miss.
    flushAll(backend)
  }
})

type World = typeof world extends fc.Arbitrary<infer Value> ? Value : never

async function compare(each: World, backend: Backend, sender: Sender): Promise<('ACCEPT' | 'DROP')[]> {
  const packets = each.sent.map((packet, at): Sent => ({ ...packet, length: 101 + at }))
  const raw = each.raw === '' ? '' : `-A PREROUTING -j R\n-A R ${each.raw}\n`
  const head = `*raw\n-F\n-X\n:R - [0:0]\n${raw}COMMIT\n`
  const chains = `*filter\n-F\n:FORWARD ${each.policy} [0:0]\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n`
  const body = `${each.rules.join('\n')}\n-A FORWARD -j A\nCOMMIT\n`
  const fence = `-A FORWARD -m length --length ${FENCE.length} -j ACCEPT\n`
  const loaded = restore(4, backend, `${head}${countingTable(packets)}${chains}${fence}${body}`)
  assert.equal(loaded.stderr, '', body)
  const fake = new FakeKernel({ backend })
  for (const line of SETS) fake.ipset(line)
  assert.equal(fake.restore(4, head + chains + body).stderr, '')
  fake.setRoutes({ '10.1.0.0/16': 'toc', '10.2.0.0/16': 'tos' })
  fake.setLocalAddresses(['10.1.0.1', '10.2.0.1'])
  const through = await sender.send(packets, backend)
  return packets.map(packet => {
    const { verdict, trail } = fake.walk(asWalked(packet))
    const shown = `${JSON.stringify(packet)}\n${raw}${body}${JSON.stringify(trail)}`
    assert.equal(verdict, through.includes(packet.length) ? 'ACCEPT' : 'DROP', shown)
    return verdict
  })
}
