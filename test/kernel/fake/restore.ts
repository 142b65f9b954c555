import fc from 'fast-check'
import t from 'tap'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import type { Backend } from '../../../src/kernel/fake/tool.ts'

/** The lines of a family's filter table that are no comments, chains of the kernel's own or COMMIT. */
function filter(kernel: FakeKernel, family: 4 | 6 = 4): string[] {
  const own = kernel.save(family).split('*filter\n')[1]?.split('COMMIT')[0] ?? ''
  return own.split('\n').filter(line => line !== '' && !/^:(INPUT|FORWARD|OUTPUT) ACCEPT/.test(line))
}

/** A kernel that holds chain A with two rules and chain B with one. */
function prepared(backend: Backend = 'nft'): FakeKernel {
  const kernel = new FakeKernel({ backend })
  const text =
    '*filter\n:A - [0:0]\n:B - [0:0]\n-A A -s 10.0.0.1/32 -j DROP\n-A A -j B\n-A B -j DROP\nCOMMIT\n'
  if (kernel.restore(4, text).exit !== 0) throw new Error('the preparation failed')
  kernel.ipset('create s4 hash:ip')
  kernel.ipset('create s6 hash:ip family inet6')
  return kernel
}

const START = [':A - [0:0]', ':B - [0:0]', '-A A -s 10.0.0.1/32 -j DROP', '-A A -j B', '-A B -j DROP']

/** What a transaction of these lines leaves of the prepared table. */
const CHANGES: Record<string, readonly string[]> = {
  ':A - [0:0]': [':A - [0:0]', ':B - [0:0]', '-A B -j DROP'],
  ':C - [0:0]': [START[0]!, START[1]!, ':C - [0:0]', ...START.slice(2)],
  ':A - [0:0]\n-A A -j RETURN': [':A - [0:0]', ':B - [0:0]', '-A A -j RETURN', '-A B -j DROP'],
  ':FORWARD DROP [0:0]': [':FORWARD DROP [0:0]', ...START],
  ':FORWARD - [0:0]': START,
  '-P FORWARD DROP': [':FORWARD DROP [0:0]', ...START],
  '-D A 1': [':A - [0:0]', ':B - [0:0]', '-A A -j B', '-A B -j DROP'],
  '-D A -s 10.0.0.1 -j DROP': [':A - [0:0]', ':B - [0:0]', '-A A -j B', '-A B -j DROP'],
  '-I A -j RETURN': [...START.slice(0, 2), '-A A -j RETURN', ...START.slice(2)],
  '-I A 3 -j RETURN': [...START.slice(0, 4), '-A A -j RETURN', '-A B -j DROP'],
  '-R A 1 -j RETURN': [':A - [0:0]', ':B - [0:0]', '-A A -j RETURN', '-A A -j B', '-A B -j DROP'],
  '-F A\n-X A': [':B - [0:0]', '-A B -j DROP'],
  '-F\n-X': [],
  '-F A': [':A - [0:0]', ':B - [0:0]', '-A B -j DROP'],
  '-N C\n-A C': [START[0]!, START[1]!, ':C - [0:0]', ...START.slice(2), '-A C'],
  '-A FORWARD -j A\n:FORWARD - [0:0]': [START[0]!, START[1]!, '-A FORWARD -j A', ...START.slice(2)],
}

t.test('what a transaction leaves', t => {
  for (const backend of ['nft', 'legacy'] as const)
    for (const [lines, expected] of Object.entries(CHANGES)) {
      const kernel = prepared(backend)
      const result = kernel.restore(4, `*filter\n${lines}\nCOMMIT\n`)
      t.same(result, { exit: 0, stdout: '', stderr: '' }, lines)
      t.same(filter(kernel), expected, `${backend}: ${lines}`)
    }
  t.end()
})

const LONG = 'L'.repeat(29)

/** Lines of one transaction, the exit code, and what stands on stderr; nft's if not said otherwise. */
const REFUSALS: readonly (readonly [lines: string, exit: number, stderr: RegExp])[] = [
  ['-A NOPE -j DROP', 1, /line 2 failed: No chain\/target\/match by that name\./],
  ['-A A -j NOPE\n-A A -j DROP', 2, /Chain 'NOPE' does not exist\nError occurred at line: 4\n/],
  ['-A A -g NOPE', 2, /Chain 'NOPE' does not exist/],
  ['-A A -g DROP', 2, /Chain 'DROP' does not exist/],
  ['-A A -j FORWARD', 4, /line 2: RULE_APPEND failed \(Operation not supported\)/],
  [`:${LONG} - [0:0]`, 2, /chain name `L+' too long \(must be under 29 chars\)\nError occurred at line: 2/],
  [`-A A -j ${LONG}`, 2, /Invalid target name `L+' \(28 chars max\)/],
  [':DROP - [0:0]', 2, /may not clash with target name/],
  [':-x - [0:0]', 2, /not allowed to start with `-'/],
  [':A', 2, /policy invalid/],
  ['-X B', 4, /line 2: CHAIN_DEL failed \(Device or resource busy\): chain B/],
  ['-X A', 4, /CHAIN_DEL failed \(Device or resource busy\): chain A/],
  ['-A A -j B\n-F A\n-A A -j B\n-X B', 4, /line 5: CHAIN_DEL/],
  ['-X NOPE', 1, /line 2 failed/],
  ['-F NOPE', 1, /line 2 failed/],
  ['-N A', 1, /line 2 failed: Chain already exists\./],
  ['-D A 5', 1, /Index of deletion too big/],
  ['-D A -s 10.0.0.9 -j DROP', 1, /Bad rule \(does a matching rule exist in that chain\?\)/],
  ['-D A 1\n-D A 1\n-D A 1', 1, /line 4 failed: Index of deletion too big/],
  ['-I A 4 -j RETURN', 1, /Index of insertion too big/],
  ['-I A 0 -j RETURN', 2, /Invalid rule number `0'/],
  ['-R A 3 -j RETURN', 1, /Index of replacement too big/],
  ['-P FORWARD RETURN', 1, /Bad policy name/],
  ['-P A DROP', 1, /Bad built-in chain name/],
  [':FORWARD BLAH [0:0]', 1, /Bad policy name/],
  ['-A FORWARD -j A\n-A B -j A', 4, /line 3: RULE_APPEND failed \(Too many links\)/],
  ['-A FORWARD -g A\n-A B -g A', 4, /Too many links/],
  ['-A OUTPUT -j A\n-A A -m mac --mac-source aa:bb:cc:dd:ee:ff', 4, /Invalid argument/],
  ['-A OUTPUT -m physdev --physdev-out eth0', 4, /Invalid argument/],
  ['-A A -m rpfilter --invert -j DROP', 4, /line 2: RULE_APPEND failed \(Invalid argument\)/],
  ['-A INPUT -o eth0', 2, /Can't use -o with INPUT/],
  ['-A OUTPUT -i eth0', 2, /Can't use -i with OUTPUT/],
  ['-A A -m set --match-set nope src', 2, /Set nope doesn't exist\./],
  ['-A A -m set --match-set s6 src', 2, /family of set s6 is IPv6/],
  ['-A A -m set --match-set s4 foo', 2, /'src' or 'dst'/],
  ['-A A --bogus 3', 2, /unknown option "--bogus"/],
  ['-A A -p tcp --bogus', 2, /unknown option "--bogus"/],
  ['-A A -m bogus', 2, /Couldn't load match `bogus'/],
  ['-A A -m tcp --dport 80', 2, /TCP match requires '-p tcp'/],
  ['-A A -m udp -p tcp', 4, /Invalid argument/],
  ['-A A -p tcp --dport 70000', 2, /invalid port\/service `70000'/],
  ['-A A -p tcp --dport 90:80', 2, /invalid portrange/],
  [
    `-A A -p tcp -m multiport --dports ${Array.from({ length: 16 }, (_, at) => at).join()}`,
    2,
    /too many ports/,
  ],
  ['-A A -p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15,16', 2, /too many ports/],
  ['-A A -m multiport --dports 1', 2, /multiport needs/],
  ['-A A -s 10.0.0.0/33', 2, /invalid mask `33'/],
  ['-A A -s foo.invalid', 2, /host\/network `foo\.invalid' not found/],
  ['-A A -s 2001:db8::1', 2, /not found/],
  ['-A A ! -s 0.0.0.0/0', 4, /Invalid argument/],
  ['-A A -i toolonginterface1', 2, /must be shorter than IFNAMSIZ/],
  ['-A A -p bogus', 2, /unknown protocol "bogus"/],
  ['-A A -j MARK', 2, /One of the --set-xmark/],
  ['-A A -j MARK --set-xmark 0x1ffffffff', 2, /bad integer value/],
  ['-A A -m mark', 2, /option "--mark" must be specified/],
  ['-A A -m mark --mark 1 --mark 2', 2, /can only be used once/],
  ['-A A -m limit ! --limit 3/sec', 2, /cannot be inverted/],
  ['-A A -m conntrack --ctstate BOGUS', 2, /Bad ctstate "BOGUS"/],
  ['-A A -p icmp -m icmp --icmp-type 300', 2, /Unknown ICMP type/],
  ['-A A -m hl --hl-eq 255', 2, /Couldn't load match `hl'/],
  ['-A A -j DROP -j ACCEPT', 2, /multiple -j flags/],
  ['-A A -j DROP stray', 2, /^Bad argument `stray'\nError occurred at line: 2/],
  ['-A A -j DROP "open', 2, /Bad argument/],
  ['BLAH', 2, /Bad argument `BLAH'/],
  ['-j DROP', 2, /no command specified/],
  ['*raw', 2, /Bad argument `\*raw'/],
]

t.test('what is refused leaves the table as it was', t => {
  for (const [lines, exit, stderr] of REFUSALS) {
    const kernel = prepared()
    const result = kernel.restore(4, `*filter\n${lines}\nCOMMIT\n*filter\n:LATER - [0:0]\nCOMMIT\n`)
    t.equal(result.exit, exit, lines)
    t.match(result.stderr, stderr, lines)
    t.same(filter(kernel), START, lines)
  }
  t.end()
})

t.test('legacy names other lines, and looks no further than what a packet can reach', t => {
  const refused = (lines: string): string =>
    prepared('legacy').restore(4, `*filter\n${lines}\nCOMMIT\n`).stderr
  t.match(refused('-A A -j NOPE\n-A A'), /Couldn't load target `NOPE'.*\n\nError occurred at line: 2\n/)
  t.equal(
    refused('-A OUTPUT -j A\n-A A -m mac --mac-source aa:bb:cc:dd:ee:ff'),
    'iptables-restore: line 4 failed\n',
  )
  t.equal(refused('-X B'), 'iptables-restore: line 2 failed\n')
  t.equal(refused('-A FORWARD -j A\n-A B -j A'), '', 'B drops everything before')
  t.equal(refused('-A FORWARD -j A\n-I B -j A'), 'iptables-restore: line 4 failed\n')
  t.equal(refused('-A OUTPUT -j B\n-A B -m mac --mac-source aa:bb:cc:dd:ee:ff'), '')
  t.equal(refused('-A A ! -s 0.0.0.0/0'), '')
  t.match(refused(':A DROP [0:0]'), /line 2 failed/)
  t.end()
})

/** FORWARD to c0 to c1 ... to the last of so many. */
function ladder(rungs: number, verb: string): string {
  const names = Array.from({ length: rungs }, (_, at) => `c${at}`)
  const down = names.slice(1).map((name, at) => `-A c${at} ${verb} ${name}`)
  return [
    '*filter',
    ...names.map(name => `:${name} - [0:0]`),
    ...down,
    `-A FORWARD ${verb} c0`,
    'COMMIT',
    '',
  ].join('\n')
}

t.test('nft takes fifteen chains below one of its own', t => {
  for (const verb of ['-j', '-g']) {
    t.equal(new FakeKernel().restore(4, ladder(15, verb)).exit, 0)
    t.match(new FakeKernel().restore(4, ladder(16, verb)), { exit: 4, stderr: /Too many links/ })
    t.equal(new FakeKernel({ backend: 'legacy' }).restore(4, ladder(40, verb)).exit, 0)
  }
  t.end()
})

/** As written, and as iptables-save prints it; both backends of 1.8.9 agree. */
const PRINTED: Record<string, string> = {
  '-i + -s 0.0.0.0/0 -p all -j DROP': '-j DROP',
  '-s 10.1.2.3/16 -d 1.1.1.1': '-s 10.1.0.0/16 -d 1.1.1.1/32',
  '-j DROP -p TCP -m mark --mark 1 -s 1.1.1.1 -o x -i y -d 2.2.2.2':
    '-s 1.1.1.1/32 -d 2.2.2.2/32 -i y -o x -p tcp -m mark --mark 0x1 -j DROP',
  '-p 6 --dport 80:80': '-p tcp -m tcp --dport 80',
  '-p tcp --dport 80:': '-p tcp -m tcp --dport 80:65535',
  '-p tcp --dport 0:65535': '-p tcp -m tcp',
  '-p tcp --dport 5 --sport 6 --syn': '-p tcp -m tcp --sport 6 --dport 5 --tcp-flags FIN,SYN,RST,ACK SYN',
  '-p tcp -m comment --comment x --dport 80': '-p tcp -m comment --comment x -m tcp --dport 80',
  '-p tcp -m multiport --destination-ports 1,2': '-p tcp -m multiport --dports 1,2',
  '-m mark --mark 5/4': '-m mark --mark 0x5/0x4',
  '-m mark ! --mark 1/0xffffffff': '-m mark ! --mark 0x1',
  '-j MARK --set-mark 0xff/0x1': '-j MARK --set-xmark 0xff/0xff',
  '-j MARK --and-mark 4': '-j MARK --set-xmark 0x0/0xfffffffb',
  '-m conntrack --ctstate ESTABLISHED,RELATED': '-m conntrack --ctstate RELATED,ESTABLISHED',
  '-m limit --limit 60/min -j NFLOG --nflog-group 3 --nflog-prefix abc':
    '-m limit --limit 1/sec -j NFLOG --nflog-prefix abc --nflog-group 3',
  '-m limit --limit 3000/sec --limit-burst 5 -j NFLOG --nflog-group 0': '-m limit --limit 3333/sec -j NFLOG',
  '-m limit -j LOG --log-level warning': '-m limit --limit 3/hour -j LOG',
  '-j LOG --log-prefix "a b: "  --log-level 6': '-j LOG --log-prefix "a b: " --log-level 6',
  '-m mac --mac-source A:B:C:D:E:F': '-m mac --mac-source 0a:0b:0c:0d:0e:0f',
  '-p icmp --icmp-type echo-request': '-p icmp -m icmp --icmp-type 8',
  '-p icmp --icmp-type 255': '-p icmp -m icmp --icmp-type any',
  '-m comment --comment "a \\"b\\""': '-m comment --comment "a \\"b\\""',
  '-m addrtype --dst-type local --src-type UNICAST,LOCAL':
    '-m addrtype --src-type UNICAST,LOCAL --dst-type LOCAL',
  '-m physdev --physdev-is-bridged --physdev-in a': '-m physdev --physdev-in a --physdev-is-bridged',
  '-j REJECT': '-j REJECT --reject-with icmp-port-unreachable',
  '-p 47': '-p gre',
  '-m set ! --match-set s4 src,dst': '-m set ! --match-set s4 src,dst',
}

t.test('rules are printed as iptables-save prints them', t => {
  for (const [given, printed] of Object.entries(PRINTED)) {
    const kernel = prepared()
    t.same(
      kernel.restore(4, `*filter\n:C - [0:0]\n-A C ${given}\nCOMMIT\n`),
      { exit: 0, stdout: '', stderr: '' },
      given,
    )
    t.equal(filter(kernel).at(-1), `-A C ${printed}`)
  }
  const kernel = prepared()
  const comment = 'c'.repeat(300)
  kernel.restore(4, `*filter\n:C - [0:0]\n-A C -m comment --comment ${comment}\nCOMMIT\n`)
  t.equal(filter(kernel).at(-1), `-A C -m comment --comment ${comment.slice(0, 255)}`, 'cut, without a word')
  kernel.restore(
    6,
    '*filter\n:C - [0:0]\n-A C -s 2001:DB8::5/64 -p 58 --icmpv6-type 135 -m hl --hl-eq 255\nCOMMIT\n',
  )
  t.equal(
    filter(kernel, 6).at(-1),
    '-A C -s 2001:db8::/64 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255',
  )
  t.end()
})

t.test('tables one after the other', t => {
  const kernel = new FakeKernel()
  t.equal(kernel.save(4), '')
  const text = '*raw\n:podf-r - [0:0]\n-A PREROUTING -j podf-r\nCOMMIT\n*filter\n-A FORWARD -j NOPE\nCOMMIT\n'
  t.equal(kernel.restore(4, text).exit, 2)
  t.match(
    kernel.save(4),
    /\*raw\n:PREROUTING ACCEPT \[0:0\]\n:OUTPUT ACCEPT \[0:0\]\n:podf-r - \[0:0\]\n-A PREROUTING -j podf-r\nCOMMIT\n/,
  )
  t.notMatch(kernel.save(4), /\*filter/)
  t.match(kernel.restore(4, '*filter\n-A FORWARD -j DROP\n'), {
    exit: 1,
    stderr: /COMMIT expected at line 3/,
  })
  t.match(kernel.restore(4, '*bogus\nCOMMIT\n'), {
    exit: 2,
    stderr: /table name 'bogus' invalid\nError occurred at line: 1/,
  })
  t.match(kernel.restore(4, 'COMMIT\n'), { exit: 1, stderr: /line 1 failed/ })
  t.equal(kernel.save(6), '')
  t.end()
})

t.test('a long-lived process acknowledges, commits at COMMIT and ends at the first error', t => {
  const kernel = new FakeKernel()
  const process = kernel.openRestore(4)
  t.same(process.write('*filter\n:A - [0:0]\n# early\nCOMM'), { stdout: '# early\n', stderr: '' })
  t.same(filter(kernel), [])
  t.same(process.write('IT\n# ack 1\n'), { stdout: '# ack 1\n', stderr: '' })
  t.same(filter(kernel), [':A - [0:0]'])
  t.equal(process.exit, null)
  const { stdout, stderr } = process.write('*filter\n-A A -j DROP\n-A A --bogus\nCOMMIT\n# ack 2\n')
  t.equal(stdout, '')
  t.match(stderr, /Error occurred at line: 8\n/, 'lines are counted from the start of the process')
  t.equal(process.exit, 2)
  t.same(filter(kernel), [':A - [0:0]'])
  t.same(process.write('*filter\n-A A -j DROP\nCOMMIT\n'), { stdout: '', stderr: '' })
  t.equal(process.end().exit, 2)
  t.same(filter(kernel), [':A - [0:0]'])
  const other = kernel.openRestore(4)
  other.write('*filter\n-F\nCOMMIT\n')
  t.equal(other.end().exit, 0)
  t.end()
})

const words = fc.constantFrom(
  ...[
    '*filter\n',
    'COMMIT\n',
    ':A - [0:0]\n',
    ':B - [0:0]\n',
    '\n-A A',
    '\n-A FORWARD',
    '\n-D A',
    '\n-I A 1',
    '\n-X A',
  ],
  ...[
    ' -j A',
    ' -j DROP',
    ' -g B',
    ' -p tcp',
    ' --dport 80',
    ' -m set',
    ' --match-set s4 src',
    ' !',
    ' -s 10.0.0.0/8',
  ],
  ...[
    ' -m comment --comment "x y"',
    ' "',
    '\\',
    '\0',
    ' -m',
    ' 1',
    '#',
    ' -i cali+',
    ' -j MARK --set-xmark 1/1',
    '\n',
  ],
)

t.test('no text breaks it, and what it printed it takes back', t => {
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 40 }).map(parts => parts.join('')),
      text => {
        const kernel = prepared()
        kernel.restore(4, text)
        const saved = kernel.save(4)
        const again = new FakeKernel()
        again.ipset('create s4 hash:ip')
        const { exit, stderr } = again.restore(4, saved)
        if (exit !== 0 || again.save(4) !== saved) throw new Error(`${stderr}\n${saved}`)
      },
    ),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      text => void prepared().restore(4, `*filter\n${text}\nCOMMIT\n`),
    ),
  )
  t.end()
})
