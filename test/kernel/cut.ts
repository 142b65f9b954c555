import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { deleteEntries, parseEntry } from '../../src/kernel/conntrack.ts'
import { ConntrackLister } from '../../src/kernel/conntrack-lister.ts'
import { kernelCounters } from '../../src/kernel/counters.ts'
import { ConnectionCutter, type Judge } from '../../src/kernel/cut.ts'
import { elementOf, flowOf } from '../../src/kernel/cut-tuple.ts'
import { IpsetSession } from '../../src/kernel/ipset/session.ts'
import { type Processes, systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import type { Family } from '../../src/model/values.ts'
import { membersOf, sh } from './bench.ts'

const inside = await enterSandbox()

t.test('entries as conntrack prints them', async t => {
  const cases: [string, object | null, string | null][] = [
    [
      'tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.96.0.1 sport=47750 dport=80 src=10.1.0.2 dst=192.0.2.7 sport=8080 dport=31001 [ASSURED] mark=0 use=1',
      {
        flow: {
          family: 4,
          source: '10.0.0.1',
          destination: '10.1.0.2',
          protocol: 6,
          sourcePort: 47750,
          destinationPort: 8080,
        },
        dialed: '10.96.0.1',
        dialedPort: 80,
      },
      '10.0.0.1,tcp:8080,10.1.0.2',
    ],
    [
      'udp      17 29 src=fd00::1 dst=fd00::2 sport=5 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 sport=53 dport=5 mark=0 use=1',
      {
        flow: {
          family: 6,
          source: 'fd00::1',
          destination: 'fd00::2',
          protocol: 17,
          sourcePort: 5,
          destinationPort: 53,
        },
      },
      'fd00::1,udp:53,fd00::2',
    ],
    [
      'icmpv6   58 29 src=::1 dst=::2 type=128 code=0 id=12 src=::2 dst=::1 type=129 code=0 id=12 mark=0 use=1',
      { flow: { source: '::1', destination: '::2', icmpType: 128, icmpCode: 0 } },
      '::1,ipv6-icmp:echo-request,::2',
    ],
    [
      'unknown  89 599 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1',
      { flow: { protocol: 89 } },
      '10.0.0.1,ospf:0,10.0.0.2',
    ],
    ['conntrack v1.4.7 (conntrack-tools): 5 flow entries have been shown.', null, null],
    ['', null, null],
  ]
  for (const [line, expected, element] of cases) {
    const entry = parseEntry(line)
    if (expected === null || entry === null) {
      t.same(entry, expected)
      continue
    }
    t.match(entry, expected)
    t.equal(elementOf(entry.flow), element)
    const { sourcePort, ...known } = entry.flow
    t.same(
      flowOf(elementOf(entry.flow), entry.flow.family),
      known,
      'a set member tells all but the client port',
    )
  }
})

/** Processes whose `conntrack` is this script. */
function withConntrack(t: Test, script: string): Processes {
  const bin = t.testdir({ conntrack: `#!/bin/sh\n${script}` })
  chmodSync(join(bin, 'conntrack'), 0o755)
  return systemProcesses({ PATH: `${bin}:${process.env.PATH}` })
}

t.test('both families are listed, in one walk where conntrack can', async t => {
  for (const [version, sources] of [
    ['1.4.6', ['ipv4-1', 'ipv6-1']],
    ['1.4.7', ['all-1']],
    ['1.4.10', ['all-1']],
    ['1.5.0', ['all-1']],
  ] as const) {
    const processes = withConntrack(
      t,
      `[ "$1" = --version ] && exec echo 'conntrack v${version} (conntrack-tools)'
       of=\${3:-all}
       echo "udp 17 29 src=$of-1 dst=$of-2 sport=5 dport=53 src=$of-2 dst=$of-1 sport=53 dport=5"
       echo "conntrack v${version} (conntrack-tools): 1 flow entries have been shown." >&2`,
    )
    const lister = new ConntrackLister(processes)
    const listed = async (families?: readonly Family[]) => {
      const seen: string[] = []
      await lister.list(({ flow }) => seen.push(flow.source), families)
      return seen
    }
    t.same(await listed(), sources, version)
    t.same(await listed([6]), ['ipv6-1'])
    t.same(await listed([]), [])
    t.same(await listed([4, 6]), sources)
    processes.stopAll()
  }
})

t.test('the conntrack of this machine lists both families', { skip: inside.skip }, async t => {
  const processes = systemProcesses()
  for (const address of ['192.0.2.', '2001:db8::'])
    sh(`conntrack -I -p udp -s ${address}1 -d ${address}2 --sport 5 --dport 53 -t 60 2>&1`)
  const seen: string[] = []
  await new ConntrackLister(processes).list(({ flow }) => seen.push(flow.source))
  t.same(seen.sort(), ['192.0.2.1', '2001:db8::1'])
  sh('conntrack -F 2>&1')
  processes.stopAll()
})

t.test('a conntrack that is missing, fails or is killed is told, and the next list starts anew', async t => {
  const none = new ConntrackLister(systemProcesses({ PATH: '/nowhere' }))
  await t.rejects(
    none.list(() => {}),
    { code: 'KERNEL_UNREADABLE' },
  )
  const failing = withConntrack(t, `[ -e ok ] || { echo 'cannot * open' >&2; exit 1; }`)
  await t.rejects(
    new ConntrackLister(failing).list(() => {}),
    { message: /conntrack: cannot \* open$/ },
  )
  const killed = withConntrack(t, 'kill -9 $PPID; sleep 0.1')
  const lister = new ConntrackLister(killed)
  await t.rejects(
    lister.list(() => {}),
    { code: 'KERNEL_UNREADABLE' },
  )
  await t.rejects(
    lister.list(() => {}),
    { code: 'KERNEL_UNREADABLE' },
  )
  for (const processes of [failing, killed]) processes.stopAll()
})

t.test('entries that go away while they are deleted', async t => {
  const dir = t.testdir()
  const twice = withConntrack(
    t,
    `echo "$*" >>${dir}/calls; echo 'udp 17 29 src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1'
     [ "$3" = ipv6 ] || [ "$(grep -c ipv4 ${dir}/calls)" -gt 2 ] && exit 0
     echo "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist" >&2; exit 1`,
  )
  const lines = ['ipv4', 'ipv6'].map(family => ['-D', '-f', family, '-s', '10.0.0.1'])
  t.equal(await deleteEntries(twice, lines), 4, 'the walk that they ended early is made again')
  t.equal(readFileSync(`${dir}/calls`, 'utf8').match(/ipv4/g)?.length, 3)
  const always = withConntrack(t, `echo "such conntrack doesn't exist" >&2; exit 1`)
  await t.rejects(deleteEntries(always, lines), { code: 'KERNEL_UNREADABLE', message: /keep going away/ })
  const broken = withConntrack(t, 'echo "cannot open" >&2; exit 1')
  await t.rejects(deleteEntries(broken, lines), { code: 'KERNEL_UNREADABLE', message: /cannot open/ })
})

const cutSets = { 4: 'podf-cut-4', 6: 'podf-cut-6' } as const

/** A router namespace (this one) with two "pods", the rules that look into the cut sets, and service 10.96.0.1. */
function buildWorld(backend: 'nft' | 'legacy') {
  sh(`
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
    for n in 1 2; do
      ip netns add pod$n
      ip link add cali$n type veth peer name eth0 netns pod$n
      ip addr add 10.$n.0.1/24 dev cali$n; ip -6 addr add fd0$n::1/64 dev cali$n nodad; ip link set cali$n up
      ip -n pod$n addr add 10.$n.0.2/24 dev eth0; ip -n pod$n -6 addr add fd0$n::2/64 dev eth0 nodad
      ip -n pod$n link set eth0 up; ip -n pod$n link set lo up
      ip -n pod$n route add default via 10.$n.0.1; ip -n pod$n -6 route add default via fd0$n::1
    done
    ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60
    ipset create podf-cut-6 hash:ip,port,ip family inet6 timeout 60
    iptables-${backend} -t nat -A PREROUTING -d 10.96.0.1 -j DNAT --to-destination 10.2.0.2
    iptables-${backend} -t nat -A POSTROUTING -s 10.1.0.2 -d 10.2.0.2 -p udp --dport 7003 -j MASQUERADE`)
  for (const family of [4, 6]) {
    const tool = `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`
    sh(`
      ${tool} -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      ${tool} -A FORWARD -m set --match-set podf-cut-${family} src,dst,dst -j DROP
      ${tool} -A FORWARD -m set --match-set podf-cut-${family} dst,src,src -j DROP`)
  }
}

/** A peer in a pod: echoes, and on its own sends every 5 ms to whom it knows. Prints the count it has received. */
const PEER = `
const [role, proto, family, host, port] = process.argv.slice(1)
let got = 0
let send = () => {}
const ready = () => console.log('ready')
const nothing = () => {}
if (proto === 'tcp') {
  const use = socket => {
    socket.on('error', nothing).on('data', data => { got += data.length })
    send = () => socket.write('x', nothing)
  }
  const net = require('node:net')
  if (role === 'server') net.createServer(use).listen(Number(port), host, ready)
  else use(net.connect(Number(port), host, ready))
} else {
  const socket = require('node:dgram').createSocket(family === '6' ? 'udp6' : 'udp4')
  socket.on('error', nothing).on('message', (data, from) => {
    got += data.length
    if (role === 'server') send = () => socket.send('y', from.port, from.address, nothing)
  })
  if (role === 'server') socket.bind(Number(port), host, ready)
  else socket.connect(Number(port), host, () => {
    send = () => socket.send('x', nothing)
    ready()
  })
}
setInterval(() => console.log(got), 20)
setInterval(() => send(), 5)
`

class Peer {
  readonly #child: ChildProcess
  count = 0
  readonly ready: Promise<void>

  constructor(pod: number, ...args: string[]) {
    this.#child = spawn('ip', ['netns', 'exec', `pod${pod}`, process.execPath, '-e', PEER, ...args])
    let text = ''
    this.ready = new Promise(resolve =>
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        const lines = text.split('\n')
        text = lines.pop() ?? ''
        if (lines.includes('ready')) resolve()
        const last = lines.findLast(line => /^\d+$/.test(line))
        if (last !== undefined) this.count = Number(last)
      }),
    )
  }

  end() {
    this.#child.kill('SIGKILL')
  }
}

async function flowing(
  t: Test,
  proto: string,
  family: '4' | '6',
  port: number,
  dialed: string,
  bound: string,
) {
  const server = new Peer(2, 'server', proto, family, bound, String(port))
  t.teardown(() => server.end())
  await server.ready
  const client = new Peer(1, 'client', proto, family, dialed, String(port))
  t.teardown(() => client.end())
  await client.ready
  while (client.count < 20 || server.count < 20) await new Promise(resolve => setTimeout(resolve, 20))
  return { client, server }
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

for (const backend of ['nft', 'legacy'] as const) {
  t.test(`${backend}: live flows`, { skip: inside.skip }, async t => {
    buildWorld(backend)
    t.teardown(() =>
      sh(`ip netns del pod1; ip netns del pod2; for t in iptables ip6tables; do $t-${backend} -F; $t-${backend} -t nat -F; done
          sleep 0.1; ipset destroy podf-cut-4; ipset destroy podf-cut-6`),
    )
    const counters = kernelCounters()
    const processes = systemProcesses()
    const ipset = new IpsetSession({ processes, counters })
    await ipset.open()
    t.teardown(async () => {
      await ipset.close()
      processes.stopAll()
    })
    const options = { processes, ipset, counters, sets: cutSets, timeoutSeconds: 60 }
    const cutter = new ConnectionCutter(options)
    const denying =
      (port: number): Judge =>
      flow =>
        flow.destinationPort === port ? 'deny' : 'allow'

    const cases = [
      ['what stays allowed', 'tcp', '4', 6999, '10.2.0.2', '10.2.0.2'],
      ['tcp', 'tcp', '4', 7000, '10.2.0.2', '10.2.0.2'],
      ['udp over IPv6', 'udp', '6', 7001, 'fd02::2', 'fd02::2'],
      ['tcp through a service address', 'tcp', '4', 7002, '10.96.0.1', '10.2.0.2'],
      ['udp masqueraded', 'udp', '4', 7003, '10.2.0.2', '10.2.0.2'],
    ] as const
    const flows = await Promise.all(
      cases.map(([, proto, family, port, dialed, bound]) => flowing(t, proto, family, port, dialed, bound)),
    )
    const kept = flows[0]!
    t.match(await cutter.cutForbidden(() => 'allow'), { connections: 0, tuples: [] })

    for (const [index, [name, proto, family, port]] of cases.entries()) {
      if (index === 0) continue
      await t.test(name, async t => {
        const { client, server } = flows[index]!
        const report = await cutter.cutForbidden(denying(port))
        t.ok(report.connections >= 1)
        t.same(report.unclosed, [])
        t.equal(report.tuples.length, 1)
        await pause(150)
        const [atClient, atServer, keptAt] = [client.count, server.count, kept.client.count]
        await pause(250)
        t.equal(client.count, atClient, 'nothing from the server passes')
        t.equal(server.count, atServer, 'nothing from the client passes')
        t.ok(kept.client.count > keptAt, 'what is allowed goes on')

        const again = new ConnectionCutter(options)
        const reopened = await again.cutForbidden(() => 'allow')
        t.same(reopened.reopened, report.tuples, 'allowed again: also after a restart')
        t.same(membersOf(cutSets[family]), [])
        if (proto === 'udp') {
          const from = server.count
          await pause(200)
          t.ok(server.count > from, 'and it flows again')
        }
      })
    }
  })
}

t.test("half of one client's connections, each to be deleted by itself", { skip: inside.skip }, async t => {
  sh('iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT')
  sh('conntrack -F 2>&1; ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60')
  t.teardown(() => sh('conntrack -F 2>&1; ipset destroy podf-cut-4'))
  const processes = systemProcesses()
  const lines = Array.from({ length: 60 }, (_, n) => {
    const server = '10.99.0.1'
    const ports = `--sport 1000 --dport ${2000 + n} -r ${server} -q 10.0.0.1`
    return `-A -p udp -s 10.0.0.1 -d ${server} ${ports} --reply-port-src ${2000 + n} --reply-port-dst 1000 -t 3000`
  })
  writeFileSync('/run/entries', `${lines.join('\n')}\n`)
  sh('conntrack -R /run/entries 2>&1')
  const counters = kernelCounters()
  const ipset = new IpsetSession({ processes, counters })
  await ipset.open()
  const told: boolean[] = []
  const held: number[] = []
  const cutter = new ConnectionCutter({
    ...{ processes, ipset, counters, sets: cutSets, timeoutSeconds: 60 },
    async cutFirst(on) {
      told.push(on)
      held.push(membersOf('podf-cut-4').length)
      if (on) throw new Error('the lock is held')
    },
  })
  const report = await cutter.cutForbidden(({ destinationPort = 0 }) =>
    destinationPort % 2 ? 'deny' : 'allow',
  )
  t.match(report, { connections: 30, unclosed: [] })
  t.equal(Number(sh('conntrack -C')), 30, 'the others are still there')
  t.same(told, [true, false], 'meanwhile packets meet the set first, and afterwards no longer')
  t.same(held, [30, 30], 'which holds what is cut')
  await ipset.close()
  processes.stopAll()
})

t.test('what is opened and allowed while others are deleted stays', { skip: inside.skip }, async t => {
  sh('iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT')
  sh('conntrack -F 2>&1; ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60')
  t.teardown(() => sh('conntrack -F 2>&1; ipset destroy podf-cut-4'))
  const add = (port: number) =>
    sh(
      `conntrack -I -p udp -s 10.0.0.1 -d 10.99.0.1 --sport 1000 --dport ${port} -r 10.99.0.1 -q 10.0.0.1 --reply-port-src ${port} --reply-port-dst 1000 -t 3000 2>&1`,
    )
  for (let port = 2000; port < 2020; port++) add(port)
  const processes = withConntrack(t, `sleep 0.05; PATH=${process.env.PATH} exec conntrack "$@"`)
  const counters = kernelCounters()
  const ipset = new IpsetSession({ processes, counters })
  await ipset.open()
  let scanned = false
  const watched: Processes = {
    ...processes,
    async run(file, args, options) {
      if (options?.input?.startsWith('-D') && !scanned) {
        scanned = true
        add(53)
      }
      return processes.run(file, args, options)
    },
  }
  const options = { processes: watched, ipset, counters, sets: cutSets, timeoutSeconds: 60 }
  const cutter = new ConnectionCutter({ ...options, cutFirst: async () => {} })
  const report = await cutter.cutForbidden(flow => (flow.destinationPort === 53 ? 'allow' : 'deny'))
  t.equal(report.connections, 20)
  t.match(sh('conntrack -L 2>&1'), /dport=53 /)
  await ipset.close()
  processes.stopAll()
})

t.test('what is open with an address ends, whoever opened it', { skip: inside.skip }, async t => {
  sh('iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT')
  sh('conntrack -F 2>&1; ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60')
  t.teardown(() => sh('conntrack -F 2>&1; ipset destroy podf-cut-4'))
  const processes = systemProcesses()
  const add = (source: string, server: string, port: number) =>
    sh(
      `conntrack -I -p udp -s ${source} -d ${server} --sport ${port} --dport 53 -r ${server} -q ${source} --reply-port-src 53 --reply-port-dst ${port} -t 3000 2>&1`,
    )
  add('10.0.0.1', '10.99.0.1', 1000)
  add('10.0.0.1', '10.99.0.1', 1001)
  add('10.0.0.2', '10.0.0.1', 1000)
  add('10.0.0.2', '10.99.0.1', 1000)
  const counters = kernelCounters()
  const ipset = new IpsetSession({ processes, counters })
  await ipset.open()
  const cutter = new ConnectionCutter({ processes, ipset, counters, sets: cutSets, timeoutSeconds: 60 })
  t.same(await cutter.end(new Set(['10.0.0.7']), null), { connections: 0, unclosed: [] })
  t.same(await cutter.end(new Set(['10.0.0.1', 'fd00::1']), null), { connections: 3, unclosed: [] })
  t.same(membersOf('podf-cut-4'), [], 'new ones may come')
  const left = sh('conntrack -L 2>&1')
  t.match(left, /src=10\.0\.0\.2 dst=10\.99\.0\.1 /, 'others stay')
  t.notMatch(left, /10\.0\.0\.1 /)

  add('10.0.0.1', '10.99.0.1', 1000)
  add('10.0.0.2', '10.0.0.1', 1000)
  const judge: Judge = ({ destination }) => (destination === '10.99.0.1' ? 'allow' : 'deny')
  t.equal((await cutter.end(new Set(['10.0.0.1']), judge)).connections, 2)
  t.same(membersOf('podf-cut-4'), ['10.0.0.2,udp:53,10.0.0.1'], 'what is denied is closed as well')
  t.match(sh('conntrack -L 2>&1'), /src=10\.0\.0\.2 dst=10\.99\.0\.1 /, "others' are not looked at")
  t.same(await cutter.reopen(() => 'allow'), ['10.0.0.2,udp:53,10.0.0.1'], 'until it is allowed')
  sh('ipset destroy podf-cut-4')
  add('10.0.0.2', '10.0.0.1', 1000)
  const report = await cutter.end(new Set(['10.0.0.1']), judge)
  t.match(report, { connections: 1, unclosed: [{ said: /does not exist/ }] }, 'what cannot be closed is told')
  sh('ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60')
  await ipset.close()
  processes.stopAll()
})

t.test('many connections', { skip: inside.skip, timeout: 60_000 }, async t => {
  // Connection tracking works in a namespace only once a rule asks for it.
  sh('iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT')
  sh('conntrack -F 2>&1; ipset create podf-cut-4 hash:ip,port,ip family inet timeout 60')
  const lines: string[] = []
  for (let n = 0; n < 20_000; n++) {
    const source = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
    const server = `10.99.0.${n % 100}`
    lines.push(
      `-A -p udp -s ${source} -d ${server} --sport 1000 --dport 53 -r ${server} -q ${source} --reply-port-src 53 --reply-port-dst 1000 -t 3000`,
    )
  }
  const processes = systemProcesses()
  writeFileSync('/run/entries', `${lines.join('\n')}\n`)
  sh('conntrack -R /run/entries 2>&1')
  const total = Number(sh('conntrack -C'))
  t.equal(total, 20_000)
  const counters = kernelCounters()
  const ipset = new IpsetSession({ processes, counters })
  await ipset.open()
  const cutter = new ConnectionCutter({ processes, ipset, counters, sets: cutSets, timeoutSeconds: 60 })
  let turns = 0
  const probe = setInterval(() => turns++, 1)
  const report = await cutter.cutForbidden(({ destination, source }) =>
    destination === '10.99.0.7' || source === '10.0.0.5' ? 'deny' : 'not ours',
  )
  clearInterval(probe)
  t.equal(report.connections, 201)
  t.equal(Number(sh('conntrack -C')), total - 201)
  t.equal(membersOf('podf-cut-4').length, 201)
  t.ok(turns > 10, 'the loop goes on turning')
  await ipset.close()
  processes.stopAll()
})
