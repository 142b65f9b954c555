import t from 'tap'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import type { Packet } from '../../../src/kernel/fake/packet.ts'
import type { Walk } from '../../../src/kernel/fake/walk.ts'

const TCP: Packet = {
  family: 4,
  path: 'forward',
  in: 'cali1',
  out: 'cali2',
  src: '10.0.0.1',
  dst: '10.0.0.2',
  protocol: 'tcp',
  sport: 40000,
  dport: 80,
  tcpFlags: ['SYN'],
  mac: 'aa:bb:cc:dd:ee:ff',
  hopLimit: 63,
  ctstate: 'NEW',
}
const TCP6: Packet = { ...TCP, family: 6, src: '2001:db8::1', dst: '2001:db8::2' }
const ICMP6: Packet = { ...TCP6, protocol: 'icmpv6', icmpType: 135, icmpCode: 0, hopLimit: 255 }
const ICMP: Packet = { ...TCP, protocol: 'icmp', icmpType: 8, icmpCode: 0 }
const UDP: Packet = { ...TCP, protocol: 17 }
const BRIDGED: Packet = { ...TCP, in: 'cbr0', out: 'cbr0', physdevIn: 'veth1', physdevOut: 'veth2' }

function kernel(lines: readonly string[] = [], family: 4 | 6 = 4, table = 'filter'): FakeKernel {
  const fake = new FakeKernel()
  for (const line of [
    'create ip4 hash:ip',
    'add ip4 10.0.0.1',
    'create net4 hash:net',
    'add net4 10.0.0.0/8',
    'add net4 10.0.0.0/30 nomatch',
    'create cut4 hash:ip,port,ip timeout 60',
    'add cut4 10.0.0.1,tcp:80,10.0.0.2',
    'add cut4 10.0.0.1,icmp:8/0,10.0.0.2',
    'add cut4 10.0.0.1,gre:0,10.0.0.2',
    'create ipport4 hash:ip,port',
    'add ipport4 10.0.0.2,udp:80',
    'create ip6 hash:ip family inet6',
    'add ip6 2001:db8::1',
    'create empty4 hash:ip',
  ])
    if (fake.ipset(line).exit !== 0) throw new Error(line)
  const text = `*${table}\n${lines.join('\n')}\nCOMMIT\n`
  const { exit, stderr } = fake.restore(family, text)
  if (exit !== 0) throw new Error(`${stderr}${text}`)
  return fake
}

/** Whether one rule, in a chain that may hold it, takes this packet. */
function matches(rule: string, packet: Packet, table = 'filter', hook = 'FORWARD'): boolean {
  const fake = kernel([':C - [0:0]', `-A C ${rule} -j DROP`, `-A ${hook} -j C`], packet.family, table)
  fake.setRoutes({
    '10.0.0.0/24': 'cali1',
    '10.0.0.9/32': 'cali9',
    '0.0.0.0/0': 'eth0',
    '2001:db8::/64': 'cali1',
  })
  fake.setLocalAddresses(['10.0.0.254', '2001:db8::fe'])
  return fake.walk(packet).verdict === 'DROP'
}

/** Rule, a packet that it takes, and one that it does not. */
const MATCHES: readonly (readonly [rule: string, yes: Packet, no: Packet])[] = [
  ['-s 10.0.0.0/31', TCP, { ...TCP, src: '10.0.0.2' }],
  ['! -s 10.0.0.1/32', { ...TCP, src: '10.0.0.3' }, TCP],
  ['-d 10.0.0.2', TCP, { ...TCP, dst: '10.0.0.3' }],
  ['-s 2001:db8::/127', TCP6, { ...TCP6, src: '2001:db8::2' }],
  ['-i cali1', TCP, { ...TCP, in: 'cali12' }],
  ['-i cali+', { ...TCP, in: 'cali12' }, { ...TCP, in: 'cal' }],
  ['! -o cali2', { ...TCP, out: 'eth0' }, TCP],
  ['! -o cali+', { ...TCP, out: 'eth0' }, TCP],
  ['-p tcp', TCP, UDP],
  ['! -p 6', UDP, TCP],
  ['-p tcp --dport 80', TCP, { ...TCP, dport: 81 }],
  ['-p tcp ! --dport 80', { ...TCP, dport: 81 }, TCP],
  ['-p tcp --sport 40000:40001', { ...TCP, sport: 40001 }, { ...TCP, sport: 40002 }],
  ['-p udp --dport 80', UDP, TCP],
  ['-p udp --dport 80', UDP, { ...UDP, laterFragment: true }],
  ['-p udp ! --dport 81', UDP, { ...UDP, laterFragment: true }],
  ['-f', { ...UDP, laterFragment: true }, UDP],
  ['-p sctp --dport 80', { ...TCP, protocol: 132 }, TCP],
  ['-p tcp --syn', TCP, { ...TCP, tcpFlags: ['SYN', 'ACK'] }],
  ['-p tcp ! --syn', { ...TCP, tcpFlags: ['ACK'] }, TCP],
  ['-p tcp --tcp-flags SYN,RST SYN', { ...TCP, tcpFlags: ['SYN', 'ACK'] }, { ...TCP, tcpFlags: ['RST'] }],
  ['-p tcp -m multiport --dports 22,80:90', { ...TCP, dport: 90 }, { ...TCP, dport: 91 }],
  ['-p tcp -m multiport ! --dports 22,80:90', { ...TCP, dport: 91 }, { ...TCP, dport: 22 }],
  ['-p udp -m multiport --sports 40000', UDP, { ...UDP, sport: 1 }],
  ['-p tcp -m multiport --ports 80', { ...TCP, sport: 80, dport: 1 }, { ...TCP, dport: 1 }],
  ['-m mark --mark 0x4/0x6', { ...TCP, mark: 0x5 }, { ...TCP, mark: 0x7 }],
  ['-m mark ! --mark 0x4/0x6', { ...TCP, mark: 0x7 }, { ...TCP, mark: 0x5 }],
  ['-m mark --mark 0x80000000/0x80000000', { ...TCP, mark: 0xffffffff }, { ...TCP, mark: 0x7fffffff }],
  ['-m mark --mark 5/4', { ...TCP, mark: 5 }, { ...TCP, mark: 5 }],
  ['-m conntrack --ctstate RELATED,ESTABLISHED', { ...TCP, ctstate: 'RELATED' }, TCP],
  ['-m conntrack ! --ctstate INVALID', TCP, { ...TCP, ctstate: 'INVALID' }],
  ['-m state --state UNTRACKED', { ...TCP, ctstate: 'UNTRACKED' }, TCP],
  ['-m set --match-set ip4 src', TCP, { ...TCP, src: '10.0.0.3' }],
  ['-m set ! --match-set ip4 src', { ...TCP, src: '10.0.0.3' }, TCP],
  ['-m set ! --match-set empty4 src', TCP, { ...TCP, family: 6, src: '::1', dst: '::2' }],
  ['-m set --match-set ip4 dst,src', { ...TCP, dst: '10.0.0.1' }, TCP],
  ['-m set --match-set net4 src', { ...TCP, src: '10.0.0.4' }, { ...TCP, src: '10.0.0.3' }],
  ['-m set --match-set cut4 src,dst,dst', TCP, { ...TCP, dport: 81 }],
  ['-m set --match-set cut4 dst,src,src', { ...TCP, src: '10.0.0.2', dst: '10.0.0.1', sport: 80 }, TCP],
  ['-m set --match-set cut4 src,dst,dst', ICMP, UDP],
  ['-m set --match-set cut4 src,dst,dst', { ...TCP, protocol: 47 }, { ...TCP, protocol: 50 }],
  ['-m set --match-set ipport4 dst,dst', UDP, TCP],
  ['-m set --match-set ip6 src', TCP6, { ...TCP6, src: '2001:db8::3' }],
  ['-m mac --mac-source AA:bb:cc:dd:ee:ff', TCP, { ...TCP, mac: 'aa:bb:cc:dd:ee:00' }],
  ['-m mac ! --mac-source aa:bb:cc:dd:ee:00', TCP, { ...TCP, mac: null }],
  ['-m physdev --physdev-in veth1', BRIDGED, { ...BRIDGED, physdevIn: 'veth3' }],
  ['-m physdev ! --physdev-in veth1', TCP, BRIDGED],
  ['-m physdev --physdev-in veth+ --physdev-is-bridged', BRIDGED, TCP],
  ['-m physdev --physdev-is-bridged', BRIDGED, { ...TCP, in: 'cbr0', physdevIn: 'veth1' }],
  ['-m physdev ! --physdev-is-bridged', { ...TCP, in: 'cbr0', physdevIn: 'veth1' }, BRIDGED],
  ['-m physdev --physdev-out veth2 --physdev-is-bridged', BRIDGED, { ...BRIDGED, physdevOut: 'veth3' }],
  ['-p icmp --icmp-type 8', ICMP, { ...ICMP, icmpType: 0 }],
  ['-p icmp ! --icmp-type 8/0', { ...ICMP, icmpCode: 1 }, ICMP],
  ['-p icmp --icmp-type any', { ...ICMP, icmpType: 3 }, TCP],
  ['-p icmpv6 --icmpv6-type 135', ICMP6, { ...ICMP6, icmpType: 136 }],
  ['-m hl --hl-eq 255', ICMP6, TCP6],
  ['-m hl ! --hl-eq 255', TCP6, ICMP6],
  ['-m hl --hl-lt 64', TCP6, ICMP6],
  ['-m ttl --ttl-gt 62', TCP, { ...TCP, hopLimit: 62 }],
  ['-m addrtype --dst-type LOCAL', { ...TCP, dst: '10.0.0.254' }, TCP],
  ['-m addrtype ! --dst-type LOCAL,UNICAST', { ...TCP, dst: '224.0.0.1' }, TCP],
  ['-m addrtype --dst-type BROADCAST', { ...TCP, dst: '255.255.255.255' }, TCP],
  ['-p tcp -s 10.0.0.1 -m mark --mark 1 --dport 80', { ...TCP, mark: 1 }, TCP],
  ['-m comment --comment "x"', TCP, TCP6],
]

t.test('every match, both ways', t => {
  for (const [rule, yes, no] of MATCHES) {
    const never = rule.includes('5/4')
    t.equal(matches(rule, yes), !never, `${rule} takes it`)
    if (yes.family === no.family) t.equal(matches(rule, no), false, `${rule} does not`)
  }
  t.end()
})

t.test('the reverse path', t => {
  const fails = (packet: Packet, options = '--invert'): boolean =>
    matches(`-m rpfilter ${options}`, packet, 'raw', 'PREROUTING')
  t.equal(fails(TCP), false)
  t.equal(fails({ ...TCP, src: '10.0.0.9' }), true, 'the longest route decides')
  t.equal(fails({ ...TCP, src: '192.0.2.1' }), true)
  t.equal(fails({ ...TCP, src: '192.0.2.1', in: 'eth0' }), false)
  t.equal(fails({ ...TCP, src: '192.0.2.1' }, '--loose --invert'), false)
  t.equal(fails({ ...TCP, src: '10.0.0.254' }), true, "the node's own address from outside")
  t.equal(fails({ ...TCP, src: '10.0.0.254', in: 'lo' }), false)
  t.equal(fails({ ...UDP, src: '0.0.0.0', dst: '255.255.255.255' }), false, 'DHCP')
  t.equal(fails({ ...UDP, src: '0.0.0.0', dst: '10.0.0.2' }), true)
  t.equal(fails(ICMP6), false)
  t.equal(fails({ ...ICMP6, src: '2001:db8:9::1' }), true)
  t.equal(fails({ ...ICMP6, src: 'fe80::1' }), false)
  t.equal(fails({ ...ICMP6, src: '::' }), false)
  t.equal(fails(TCP, ''), true, 'without --invert it takes what passes')
  t.end()
})

const told = ({ trail }: Walk): string[] => trail.map(step => `${step.chain}: ${step.effect}`)

t.test('jumps come back, gotos do not', t => {
  const chains = [':A - [0:0]', ':B - [0:0]', ':C - [0:0]']
  const walk = (...rules: string[]): string[] => told(kernel([...chains, ...rules]).walk(TCP))
  t.same(walk('-A FORWARD -j A', '-A FORWARD -j DROP', '-A A -j B', '-A A -j ACCEPT', '-A B -j RETURN'), [
    'FORWARD: jump A',
    'A: jump B',
    'B: RETURN',
    'A: ACCEPT',
  ])
  t.same(walk('-A FORWARD -j A', '-A FORWARD -j DROP', '-A A -g B', '-A A -j ACCEPT', '-A B -j RETURN'), [
    'FORWARD: jump A',
    'A: goto B',
    'B: RETURN',
    'FORWARD: DROP',
  ])
  t.same(
    walk('-A FORWARD -j A', '-A FORWARD -j DROP', '-A A -g B', '-A B -j C', '-A B -j RETURN', '-A C -p udp'),
    ['FORWARD: jump A', 'A: goto B', 'B: jump C', 'B: RETURN', 'FORWARD: DROP'],
  )
  t.same(walk('-A FORWARD -g A', '-A FORWARD -j DROP', '-A A -j B', '-A B -g C'), [
    'FORWARD: goto A',
    'A: jump B',
    'B: goto C',
    'FORWARD: policy ACCEPT',
  ])
  t.same(walk(':FORWARD DROP [0:0]', '-A FORWARD -j RETURN', '-A FORWARD -j ACCEPT'), [
    'FORWARD: RETURN',
    'FORWARD: policy DROP',
  ])
  t.end()
})

t.test('marks', t => {
  const marked = (target: string, mark: number): number =>
    kernel([`-A FORWARD -j MARK ${target}`]).walk({ ...TCP, mark }).mark
  t.equal(marked('--set-xmark 0x5/0x7', 0xffffffff), 0xfffffffd)
  t.equal(marked('--set-xmark 0x0/0x7000000', 0x7004000), 0x4000)
  t.equal(marked('--set-xmark 0x80000000/0x80000000', 0x1), 0x80000001)
  t.equal(marked('--set-mark 5', 0xff), 5)
  t.equal(marked('--or-mark 4', 1), 5)
  t.equal(marked('--and-mark 4', 5), 4)
  t.equal(marked('--xor-mark 6', 5), 3)
  t.end()
})

t.test('the way through the tables', t => {
  const fake = new FakeKernel()
  const text = [
    '*raw\n-A PREROUTING -m conntrack --ctstate INVALID -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -s 10.0.0.9 -j DROP\n',
    ':R - [0:0]\n-A PREROUTING -j R\n-A R ! -o cali2 -j ACCEPT\n-A OUTPUT -d 10.0.0.3 -j DROP\nCOMMIT\n',
    '*mangle\n-A PREROUTING -m mark --mark 0x1/0x1 -j MARK --set-xmark 0x2/0x2\n-A POSTROUTING -o cali2 -j MARK --set-xmark 0x8/0x8\nCOMMIT\n',
    '*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m mark --mark 0x3/0x3 -m conntrack --ctstate NEW -j ACCEPT\n',
    '-A INPUT -m mark --mark 0x3/0x3 -j REJECT\n-A OUTPUT -o cali2 -j LOG --log-prefix "seen: "\nCOMMIT\n',
  ].join('')
  t.same(fake.restore(4, text).stderr, '')
  const walk = fake.walk(TCP)
  t.match(walk, { verdict: 'ACCEPT', mark: 0xb })
  t.same(
    walk.trail.map(step => [step.table, step.chain, step.effect]),
    [
      ['raw', 'PREROUTING', 'mark 0x1'],
      ['raw', 'PREROUTING', 'jump R'],
      ['raw', 'R', 'ACCEPT'],
      ['mangle', 'PREROUTING', 'mark 0x3'],
      ['mangle', 'PREROUTING', 'policy ACCEPT'],
      ['mangle', 'FORWARD', 'policy ACCEPT'],
      ['filter', 'FORWARD', 'ACCEPT'],
      ['mangle', 'POSTROUTING', 'mark 0xb'],
      ['mangle', 'POSTROUTING', 'policy ACCEPT'],
    ],
  )
  t.equal(walk.trail[6]!.rule, '-m mark --mark 0x3/0x3 -m conntrack --ctstate NEW -j ACCEPT')
  t.match(fake.walk({ ...TCP, ctstate: 'ESTABLISHED' }), { verdict: 'DROP' })
  t.match(fake.walk({ ...TCP, src: '10.0.0.9' }).trail.at(-1), { table: 'raw', effect: 'DROP' })
  const { out: _out, ...inbound } = TCP
  t.match(fake.walk({ ...inbound, path: 'input' }).trail.at(-1), {
    chain: 'INPUT',
    effect: 'REJECT icmp-port-unreachable',
  })
  const { in: _in, ...outbound } = TCP
  const sent = fake.walk({ ...outbound, path: 'output' })
  t.match(sent, { verdict: 'ACCEPT', mark: 0x8 })
  t.ok(told(sent).includes('OUTPUT: LOG seen: '))
  t.match(fake.walk({ ...outbound, path: 'output', dst: '10.0.0.3' }), { verdict: 'DROP' })
  t.match(fake.walk(TCP6), { verdict: 'ACCEPT', trail: [] }, 'no table, no opinion')
  t.end()
})

t.test('headings and logs decide nothing', t => {
  const fake = kernel([
    '-A FORWARD -m comment --comment "podf:H:x"',
    '-A FORWARD -m limit --limit 10/sec -j NFLOG --nflog-group 5 --nflog-prefix "podf:D:x"',
    '-A FORWARD -j DROP',
  ])
  t.same(told(fake.walk(TCP)), ['FORWARD: NFLOG podf:D:x', 'FORWARD: DROP'])
  t.end()
})

t.test('a set that is swapped or grows decides at once', t => {
  const fake = kernel(['-A FORWARD -m set --match-set empty4 src -j DROP'])
  t.equal(fake.walk(TCP).verdict, 'ACCEPT')
  fake.ipset('swap empty4 ip4')
  t.equal(fake.walk(TCP).verdict, 'DROP')
  fake.ipset('flush empty4')
  t.equal(fake.walk(TCP).verdict, 'ACCEPT')
  t.end()
})

t.test('what it cannot decide it does not pass over', t => {
  const throws = (rule: string, packet: Packet, words: RegExp, table = 'filter'): unknown =>
    t.throws(
      () =>
        kernel([`-A ${table === 'raw' ? 'PREROUTING' : 'FORWARD'} ${rule}`], packet.family, table).walk(
          packet,
        ),
      { name: 'TypeError', message: words },
      rule,
    )
  const { dport: _dport, mac: _mac, tcpFlags: _flags, hopLimit: _hops, ...bare } = TCP
  throws('-p tcp --dport 80 -j DROP', bare, /'dport'/)
  throws('-m mac --mac-source aa:bb:cc:dd:ee:ff -j DROP', bare, /'mac'/)
  throws('-p tcp --syn -j DROP', bare, /'tcpFlags'/)
  throws('-m ttl --ttl-eq 1 -j DROP', bare, /'hopLimit'/)
  throws('-m limit --limit 1/sec -j ACCEPT', TCP, /rate limit/)
  throws('-m addrtype --dst-type ANYCAST -j DROP', TCP, /addrtype/)
  throws('-m addrtype --dst-type LOCAL --limit-iface-in -j DROP', TCP, /addrtype/)
  throws('-m rpfilter --validmark -j DROP', TCP, /by mark/, 'raw')
  throws('-j CONNMARK --save-mark', TCP, /CONNMARK/)
  t.throws(() => kernel().walk({ ...TCP, src: '2001:db8::1' }), TypeError)
  t.throws(() => kernel().walk({ ...TCP, protocol: 'bogus' }), TypeError)
  t.throws(() => kernel().walk({ ...TCP, path: 'input' }), TypeError)
  t.throws(() => kernel().walk({ ...TCP, path: 'output' }), TypeError)
  t.end()
})
