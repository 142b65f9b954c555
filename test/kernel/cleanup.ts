import t from 'tap'
import { backendMismatch, chooseBackend, readHints, toolName } from '../../src/kernel/backend.ts'
import { cleanUp, findRemovals, removeRules } from '../../src/kernel/cleanup.ts'
import { KernelDriver } from '../../src/kernel/driver.ts'
import { type Ended, type Processes, systemProcesses } from '../../src/kernel/process.ts'
import { familiesStanding } from '../../src/kernel/standing.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { HOOKS, sh, world } from './bench.ts'

const inside = await enterSandbox()

const everything = () =>
  sh(
    `for b in nft legacy; do for t in iptables ip6tables; do $t-$b-save 2>/dev/null; done; done | grep -vE '^#'; ipset list -n`,
  )

t.test('cleanup removes everything of ours, and nothing else', { skip: inside.skip }, async t => {
  const processes = systemProcesses()
  t.match(await cleanUp(processes), { removals: [], sets: [], left: [] }, 'nothing to do')
  sh(`for b in nft legacy; do for t in iptables ip6tables; do
        $t-$b -A FORWARD -p tcp -m comment --comment 'theirs podf-x' -j ACCEPT
        $t-$b -N OTHER; $t-$b -A OTHER -j DROP; $t-$b -t mangle -A POSTROUTING -j MARK --set-mark 1
      done; done
      ipset create theirs hash:ip; iptables-nft -A FORWARD -m set --match-set theirs src -j DROP`)
  const before = everything()
  for (const backend of ['nft', 'legacy'] as const) {
    const driver = new KernelDriver({ processes, backend, hooks: HOOKS })
    await driver.open()
    await driver.adopt(world())
    await driver.close()
  }
  // What a broken run or a curious person may leave: doubled and foreign jumps, chains in other tables.
  sh(`iptables-nft -A FORWARD -j podf-FORWARD; iptables-nft -A OTHER -s 10.0.0.1 -g podf-from
      ip6tables-legacy -t mangle -N podf-old; ip6tables-legacy -t mangle -A PREROUTING -j podf-old
      ipset create podf-x4a hash:ip`)

  const dry = await cleanUp(processes, { dryRun: true })
  t.same(dry.removals.map(({ tool }) => tool).sort(), [
    'ip6tables-legacy-restore',
    'ip6tables-legacy-restore',
    'ip6tables-legacy-restore',
    'ip6tables-nft-restore',
    'ip6tables-nft-restore',
    'iptables-legacy-restore',
    'iptables-legacy-restore',
    'iptables-nft-restore',
    'iptables-nft-restore',
  ])
  t.same([...dry.sets].sort(), ['podf-4-a', 'podf-6-a', 'podf-ack', 'podf-x4a'])
  t.match(everything(), /podf-FORWARD/, 'a dry run changes nothing')

  const report = await cleanUp(processes)
  t.same(report.removals, dry.removals, 'it does what the dry run says')
  t.same(report.left, [])
  t.same(withoutEmptyTables(everything()), withoutEmptyTables(before))
  t.match(await cleanUp(processes), { removals: [], sets: [], left: [] }, 'once more is nothing')
})

t.test(
  'rules of one backend alone are removed; the sets stay for the other',
  { skip: inside.skip },
  async t => {
    const processes = systemProcesses()
    for (const backend of ['nft', 'legacy'] as const) {
      const driver = new KernelDriver({ processes, backend, hooks: HOOKS })
      t.notOk(driver.stands(), 'nothing is known yet')
      await driver.open()
      t.notOk(driver.stands(), 'nothing is there yet')
      await driver.adopt(world())
      t.ok(driver.stands())
      t.same(await familiesStanding(processes, backend, HOOKS), [4, 6])
      await driver.close()
    }
    const found = await findRemovals(processes, 'nft')
    t.same(found.map(({ tool }) => tool).sort(), [
      'ip6tables-nft-restore',
      'ip6tables-nft-restore',
      'iptables-nft-restore',
      'iptables-nft-restore',
    ])
    t.same(await removeRules(processes, found), [])
    t.same(await findRemovals(processes, 'nft'), [])
    t.same(await familiesStanding(processes, 'nft', HOOKS), [])
    sh('ip6tables-legacy -D FORWARD -j podf-FORWARD')
    t.same(await familiesStanding(processes, 'legacy', HOOKS), [4], 'without a jump nothing is closed')
    sh('iptables-legacy -t raw -F podf-PREROUTING')
    t.same(await familiesStanding(processes, 'legacy', HOOKS), [], 'nor behind an empty chain')
    t.match(sh('iptables-legacy-save'), /-A FORWARD -j podf-FORWARD/)
    t.match(sh('ipset list podf-4-a'), /10.0.0.1/)
    t.same((await cleanUp(processes)).left, [])
  },
)

t.test('a look at a backend that nobody uses makes nothing there', { skip: inside.skip }, async t => {
  const look = `nft list tables; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names`
  const processes = systemProcesses()
  sh('nft flush ruleset')
  const before = sh(look)
  for (const backend of ['nft', 'legacy'] as const) {
    t.same(await findRemovals(processes, backend), [])
    t.same(await familiesStanding(processes, backend, HOOKS), [])
  }
  t.same(await readHints(processes), [])
  t.equal(sh(look), before)
})

t.test('the hints of Kubernetes, as either backend keeps them', { skip: inside.skip }, async t => {
  const processes = systemProcesses()
  sh('nft flush ruleset')
  sh('iptables-nft -t nat -N KUBE-PROXY-CANARY; iptables-nft -N KUBE-KUBELET-CANARY')
  t.same(await readHints(processes), [{ backend: 'nft', table: 'nat', chain: 'KUBE-PROXY-CANARY' }])
  sh('iptables-legacy -t mangle -N KUBE-IPTABLES-HINT')
  t.same(await readHints(processes), [
    { backend: 'nft', table: 'nat', chain: 'KUBE-PROXY-CANARY' },
    { backend: 'legacy', table: 'mangle', chain: 'KUBE-IPTABLES-HINT' },
  ])
  sh('iptables-legacy -t mangle -X; nft flush ruleset')
})

t.test('cleanup where native rules of others hide the table', { skip: inside.skip }, async t => {
  const processes = systemProcesses()
  const driver = new KernelDriver({ processes, backend: 'nft', hooks: HOOKS })
  await driver.open()
  await driver.adopt(world())
  await driver.close()
  sh('nft insert rule ip filter FORWARD ct state new counter log')
  t.same((await cleanUp(processes)).left, [])
  t.notMatch(sh('nft list ruleset; ipset list -n'), /podf/)
  t.match(sh('nft list chain ip filter FORWARD'), /ct state new/)
})

/** Tables that a mere visit creates or loads are no trace. */
function withoutEmptyTables(text: string): string {
  return text
    .replace(/^:(\S+) (\S+) \[.*$/gm, ':$1 $2')
    .replace(/^\*\w+\n(?::(?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ACCEPT\n)+COMMIT\n/gm, '')
}

/** Processes that answer from a table of outputs. */
function answering(answers: Readonly<Record<string, string>>): Processes {
  const ended: Ended = { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, missing: false }
  return {
    ...systemProcesses(),
    run: async (file, args) => {
      const stdout = answers[[file, ...args].join(' ')]
      return stdout === undefined ? { ...ended, code: null, missing: true } : { ...ended, stdout }
    },
  }
}

t.test('which backend', async t => {
  const nft = answering({ 'iptables -V': 'iptables v1.8.9 (nf_tables)\n' })
  t.match(await chooseBackend(nft, 'auto'), { backend: 'nft', version: 'iptables v1.8.9 (nf_tables)' })
  t.match(await chooseBackend(nft, 'legacy'), { backend: 'legacy', because: 'setting' })
  t.match(await chooseBackend(answering({ 'iptables -V': 'iptables v1.8.9 (legacy)\n' }), 'auto'), {
    backend: 'legacy',
  })
  t.match(await chooseBackend(answering({ 'iptables -V': 'iptables v1.6.1\n' }), 'auto'), {
    backend: 'legacy',
  })
  await t.rejects(chooseBackend(answering({}), 'auto'), { code: 'PREREQUISITE_MISSING' })
  t.equal(toolName('nft', 6, 'restore'), 'ip6tables-nft-restore')
  t.equal(toolName('legacy', 4, ''), 'iptables-legacy')

  const hinted = answering({
    'nft list chains ip':
      'table ip mangle {\n\tchain KUBE-KUBELET-CANARY {\n\t}\n\tchain KUBE-IPTABLES-HINT {\n\t}\n}\n' +
      'table ip filter {\n\tchain KUBE-PROXY-CANARY {\n\t}\n\tchain FORWARD {\n' +
      '\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n',
  })
  const hints = await readHints(hinted)
  t.same(
    hints.map(({ chain }) => chain),
    ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'],
  )
  t.equal(backendMismatch('nft', hints), null)
  t.equal(backendMismatch('legacy', []), null)
  t.match(
    backendMismatch('legacy', hints),
    /podfence writes to legacy, but KUBE-IPTABLES-HINT in mangle .* nft/,
  )
})
