import fc from 'fast-check'
import type { Family } from '../../../src/model/values.ts'

/** Random rules and transactions of the words that podfence and its neighbours write, some of them wrong. */

type Text = fc.Arbitrary<string>

export const one = (...values: readonly string[]): Text => fc.constantFrom(...values)

/** Mostly something that the tools take, now and then something that they refuse. */
function odd(good: readonly string[], bad: readonly string[]): Text {
  return fc.oneof({ weight: 25, arbitrary: one(...good) }, { weight: 1, arbitrary: one(...bad) })
}

function join(...parts: readonly Text[]): Text {
  return fc.tuple(...parts).map(texts => texts.filter(text => text !== '').join(' '))
}

function maybeNot(option: Text): Text {
  return join(one('', '', '!'), option)
}

function maybe(part: Text): Text {
  return fc.option(part, { freq: 1, nil: '' })
}

function options(name: string, good: readonly string[], bad: readonly string[]): Text {
  return odd(
    good.map(value => `${name} ${value}`),
    bad.map(value => `${name} ${value}`),
  )
}

const ADDRESSES: Readonly<Record<Family, readonly string[]>> = {
  4: ['10.0.0.1', '10.1.0.0/16', '10.0.0.7/30', '1.2.3.4/32'],
  6: ['2001:db8::1', '2001:DB8:0::/48', 'fe80::/10', '::ffff:1.2.3.4', '::', '1:0:0:2::/64', '::1:2'],
}
/** In `! -s`, "all but every address" is printed and taken differently by the backends. */
const EVERYTHING: Readonly<Record<Family, string>> = { 4: '0.0.0.0/0', 6: '::/0' }

function address(name: '-s' | '-d', family: Family): Text {
  const some = ADDRESSES[family]
  return fc.oneof(
    options(name, [...some, EVERYTHING[family]], ['x', some[0]!.replace(/$/, '/130')]),
    options(`! ${name}`, some, ['x']),
  )
}

function header(family: Family): Text {
  return join(
    maybe(address('-s', family)),
    maybe(address('-d', family)),
    maybe(maybeNot(options('-i', ['cali+', 'cbr0'], ['abcdefghijklmnop']))),
    maybe(maybeNot(options('-o', ['cali12', 'eth0'], ['abcdefghijklmnop']))),
  )
}

const PORTS = ['80', '0', '65535', '80:90', ':5', '7:', '0x50']
const BAD_PORTS = ['70000', '9:8', 'x']
const port = (name: string): Text => maybeNot(options(name, PORTS, BAD_PORTS))

const transport: Text = fc.oneof(
  join(
    odd(['-p tcp', '-p udp', '-p sctp', '-p 6', '-p UDP'], ['-p 47']),
    maybe(one('-m mark --mark 1')),
    maybe(port('--dport')),
    maybe(port('--sport')),
  ),
  join(
    odd(['-p tcp', '-p udp'], ['-p icmp', '', '! -p tcp']),
    one('-m multiport'),
    maybeNot(
      odd(
        ['--dports 1,2,3', '--sports 80:90,5', '--ports 7', '--destination-ports 9'],
        ['--dports 5:5', '--dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15,16'],
      ),
    ),
  ),
  maybeNot(odd(['-p tcp', '-p 47', '-p 254', '-p icmp', '-p ipv6-icmp'], ['-p nope'])),
  one(
    '-p tcp -m tcp --tcp-flags SYN,RST SYN',
    '-p tcp ! --syn',
    '-p tcp --tcp-flags ALL NONE',
    '-p tcp -m tcp',
  ),
)

const ICMP: Readonly<Record<Family, Text>> = {
  4: join(
    one('-p icmp -m icmp'),
    maybeNot(options('--icmp-type', ['8', '3/1', 'any', '255'], ['300', '3/300'])),
  ),
  6: join(one('-p icmpv6'), maybeNot(options('--icmpv6-type', ['135', '1/3', '255'], ['x']))),
}
const HOPS: Readonly<Record<Family, Text>> = {
  4: odd(['-m ttl --ttl-eq 5', '-m ttl ! --ttl-eq 5'], ['-m hl --hl-eq 5']),
  6: odd(['-m hl --hl-eq 255', '-m hl ! --hl-eq 3', '-m hl --hl-lt 9'], ['-m hl --hl-eq 256']),
}
const MEMBERS: Readonly<Record<Family, Text>> = {
  4: options('--match-set', ['s4 src', 'n4 dst', 'cut4 src,dst,dst'], ['s6 src', 'nope src', 's4 here']),
  6: options('--match-set', ['s6 dst,src'], ['s4 src', 'nope src']),
}

function match(family: Family): Text {
  return fc.oneof(
    join(one('-m mark'), maybeNot(options('--mark', ['0x1000000/0x7000000', '5', '0x0/0x4', '010'], ['zz']))),
    join(
      one('-m conntrack'),
      maybeNot(options('--ctstate', ['NEW', 'ESTABLISHED,RELATED', 'INVALID'], ['BOGUS'])),
    ),
    join(one('-m set'), maybeNot(MEMBERS[family])),
    join(one('-m mac'), maybeNot(options('--mac-source', ['aa:BB:cc:dd:ee:0'], ['x']))),
    join(
      one('-m physdev'),
      maybeNot(one('--physdev-in veth1', '--physdev-in veth+', '--physdev-is-bridged')),
    ),
    options('-m comment --comment', ['a', '"a b"', `"it's"`, 'x'.repeat(260), '"a \\"b\\" \\\\ c"'], ['a b']),
    options('-m limit --limit', ['10/sec', '60/minute', '3000/s', '7/hour --limit-burst 20'], ['x']),
    odd(
      ['-m addrtype --dst-type LOCAL', '-m addrtype ! --src-type MULTICAST,UNICAST', '-m state --state NEW'],
      ['-m bogus', '--bogus 3', '-m rpfilter --invert', '-m mark', '!'],
    ),
    HOPS[family],
    ICMP[family],
  )
}

const target: Text = odd(
  [
    ...['-j DROP', '-j ACCEPT', '-j RETURN', '-j B', '-g B', '-j C', '-g C', '-j REJECT', ''],
    ...['-j MARK --set-xmark 0x1000000/0x7000000', '-j MARK --set-mark 5/4', '-j MARK --or-mark 0x10'],
    ...[
      '-j NFLOG --nflog-group 5 --nflog-prefix "podf:D:x"',
      '-j LOG --log-prefix "a b: " --log-level debug',
    ],
  ],
  ['-j NOPE', '-g DROP', '-j A', '-j FORWARD', '-j MARK', '-j A stray', `-j ${'n'.repeat(29)}`],
)

/** ICMP and transport words both name a protocol, which may stand once only. */
function rule(family: Family): Text {
  const once = (text: string): string => {
    const first = text.indexOf('-p ')
    return text.indexOf('-p ', first + 1) < 0 ? text : '-j DROP'
  }
  return join(header(family), maybe(transport), maybe(match(family)), maybe(match(family)), target).map(once)
}

/**
 * Not among them, for iptables-nft-restore 1.8.9 counts wrongly within a transaction: -R of a rule just made
 * (it crashes), and -I by number into a chain just flushed.
 */
function transaction(family: Family): Text {
  const changes = odd(
    ['-A A', '-A B', '-A C', '-A FORWARD', '-I A', '-I B 1', '-A OUTPUT', '-A INPUT'],
    ['-A NOPE', '-D A'],
  )
  const others = odd(
    [
      ...[':A - [0:0]', ':B - [0:0]', ':D - [0:0]', ':FORWARD DROP [0:0]', '-F A', '-D A 1', '-N E'],
      ...['-P INPUT DROP', '-F FORWARD', '# a comment', '-D A -j C'],
    ],
    [`:${'n'.repeat(29)} - [0:0]`, '-X B', '-X C', '-D B 7', '-N C', '-P A DROP', '-I B 9 -j DROP'],
  )
  const line = fc.oneof(
    { weight: 4, arbitrary: join(changes, rule(family)) },
    { weight: 1, arbitrary: others },
  )
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .array(line, { minLength: 1, maxLength: 4 })
        .map(lines => `*filter\n${lines.join('\n')}\nCOMMIT\n`),
    },
    {
      weight: 1,
      arbitrary: one(
        '*filter\n-A A -j DROP\n',
        '*raw\n:R - [0:0]\n-A PREROUTING -j R\n-A R -m rpfilter --invert -j DROP\nCOMMIT\n',
        '*filter\n-A A\nCOMMIT\n*filter\n-A A --bogus\nCOMMIT\n',
        '*filter\n-R A 1 -j RETURN\nCOMMIT\n',
        '*bogus\nCOMMIT\n',
      ),
    },
  )
}

/** Transactions one after the other. */
export function transactions(family: Family): fc.Arbitrary<string[]> {
  return fc.array(transaction(family), { minLength: 1, maxLength: 3 })
}

const setName = odd(['s4', 's6', 'n4', 'cut4', 'new', 'other'], ['nope'])
const element = one(
  ...[
    '10.0.0.1',
    '10.0.0.2',
    '10.0.0.0/30',
    '10.0.0.8/29',
    '2001:DB8::1',
    '0.0.0.0',
    '10.0.0.300',
    '0.0.0.0/0',
  ],
  ...['1.1.1.1,tcp:80,2.2.2.2', '1.1.1.1,80,2.2.2.2', '1.1.1.1,icmp:8/0,2.2.2.2', '1.1.1.1,tcp:1'],
)
const exist = one('', '', '-exist')

/** A line to ipset. */
export const setLine: Text = fc.oneof(
  { weight: 6, arbitrary: join(one('add', 'del'), setName, element, exist) },
  {
    weight: 2,
    arbitrary: join(
      one('create'),
      setName,
      odd(
        ['hash:ip', 'hash:net', 'hash:ip maxelem 2', 'hash:ip family inet6', 'hash:ip timeout 60'],
        ['hash:bogus', 'hash:ip family x'],
      ),
      exist,
    ),
  },
  { weight: 1, arbitrary: join(one('swap', 'rename'), setName, setName) },
  { weight: 1, arbitrary: join(one('flush', 'destroy', 'test'), setName) },
  {
    weight: 1,
    arbitrary: one(
      'test s4 10.0.0.1',
      'test cut4 1.1.1.1,tcp:80,2.2.2.2',
      'add s4 10.0.0.7 timeout 3',
      'destroy',
      'add',
    ),
  },
)

/** The sets that these rules and lines speak of. */
export const SETS: readonly string[] = [
  'create s4 hash:ip',
  'create n4 hash:net',
  'create s6 hash:ip family inet6',
  'create cut4 hash:ip,port,ip timeout 600',
  'add s4 10.1.0.3',
  'add n4 10.1.0.0/16',
  'add n4 10.1.0.2/32 nomatch',
  'add cut4 10.1.0.2,udp:1001,10.2.0.2',
]
