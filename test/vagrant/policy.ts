// Runs alone: the machines are shared with the other files.
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { DEMO_CHANGE, wholeName } from '../../src/lab/demo-pods.ts'
import { PATIENCE_MS } from '../systemd/support/host.ts'
import { until } from '../until.ts'
import { Nodes, skip } from './support/nodes.ts'

t.test('policy across nodes', { skip }, async t => {
  const nodes = await Nodes.open(t)
  const { node1, node2 } = nodes

  await t.test('namespaces are isolated and annotations let in what they say, on a node and across', t =>
    nodes.matrix(t),
  )

  await t.test('podfence check tells the truth about this kernel', async t => {
    const findings = async () => {
      const { out } = await node1.attempt('podfence check -o json', 180_000)
      const { findings } = JSON.parse(out) as {
        findings: { level: string; what: string; says: string; remedy?: string }[]
      }
      return findings.map(finding => ({ ...finding, line: `${finding.level} ${finding.what}` }))
    }
    const found = await findings()
    t.same(
      found.filter(({ level }) => level === 'red'),
      [],
      'nothing is red',
    )
    const release = (await node1.run('uname -r')).trim()
    t.match(release, /^6\.1\./, "the kernel is Debian's")
    t.match(found.find(({ what }) => what === 'system')?.says, release)
    for (const line of [
      'green kernel',
      'green br_netfilter',
      'green interfaces',
      'green FORWARD (IPv4)',
      'green etcd',
    ])
      t.ok(
        found.some(finding => finding.line === line),
        line,
      )
    // What works does so by modules, which this kernel has loaded on demand.
    const modules = await node1.run('lsmod')
    for (const name of ['xt_set', 'ip_set_hash_ip', 'br_netfilter', 'nf_conntrack'])
      t.match(modules, `${name} `)

    // Of IPv6 alone, which no pod has here: nothing is open meanwhile.
    const mend = () =>
      node1.run('rm -f /etc/modprobe.d/lab.conf; sysctl -qw net.bridge.bridge-nf-call-ip6tables=1')
    t.teardown(mend)
    await node1.run(
      "rmmod xt_mac; echo 'install xt_mac /bin/false' >/etc/modprobe.d/lab.conf; sysctl -qw net.bridge.bridge-nf-call-ip6tables=0",
    )
    const broken = await findings()
    await mend()
    await node1.run('systemctl restart podfence-agent')
    for (const family of [4, 6])
      t.match(
        broken.find(({ line }) => line === `red mac (IPv${family})`)?.remedy,
        /modprobe -a nft_compat xt_mac/,
      )
    t.ok(
      broken.some(({ line }) => line === 'red br_netfilter'),
      'a bridge that is not filtered is red',
    )
  })

  await t.test('a change of an annotation cuts what it forbids, and nothing else', async t => {
    const entry =
      'conntrack -L -p tcp -s 10.64.1.2 -d 10.64.2.2 --dport 80 2>/dev/null | grep -c ESTABLISHED || true'
    const held = `ip netns exec default.frontend bash -c 'exec 3<>/dev/tcp/10.64.2.2/80; sleep 120'`
    await node1.run(`systemd-run --quiet --collect --unit lab-caller ${held}`)
    t.teardown(() => node1.attempt('systemctl stop lab-caller'))
    await until('the connection', async () => (await node2.run(entry)).trim() === '1', PATIENCE_MS)
    await nodes.flowing()
    const before = await nodes.counts()

    await nodes.apply(
      nodes.pods.map(pod =>
        wholeName(pod) === DEMO_CHANGE.pod ? { ...pod, annotation: DEMO_CHANGE.annotation } : pod,
      ),
    )
    await until(
      'its connection goes from the conntrack table',
      async () => (await node2.run(entry)).trim() === '0',
      PATIENCE_MS,
    )
    // What passed before is told by then.
    await pause(1_000)
    const cut = await nodes.counts()
    await pause(2_000)
    const after = await nodes.counts()
    const packets = (counts: typeof after, to: string, from: string) => counts[to]!.heard[from]!.packets
    t.equal(
      packets(after, 'default.redis', 'default.frontend'),
      packets(cut, 'default.redis', 'default.frontend'),
      'and its UDP flow has ended',
    )
    t.ok(
      packets(after, 'default.batch', 'default.frontend') >
        packets(before, 'default.batch', 'default.frontend'),
    )
    t.equal(
      after['default.batch']!.heard['default.frontend']!.lost,
      before['default.batch']!.heard['default.frontend']!.lost,
    )
    await nodes.matrix(t, true)
    await nodes.apply(nodes.pods)
  })
})
