import t, { type Test } from 'tap'
import { kernelCounters } from '../../src/kernel/counters.ts'
import { KernelDriver } from '../../src/kernel/driver.ts'
import { KernelMonitor } from '../../src/kernel/monitor.ts'
import { type Processes, systemProcesses } from '../../src/kernel/process.ts'
import type { Repaired } from '../../src/kernel/report.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { chain, HOOKS, rulesOf, sh, world } from './bench.ts'

const inside = await enterSandbox()

async function followed(t: Test) {
  const processes = systemProcesses()
  const counters = kernelCounters()
  let gaps = 0
  const repairs: Repaired[] = []
  let wake = () => {}
  const monitor = new KernelMonitor({
    processes,
    counters,
    onForeign: async places => {
      repairs.push(await driver.recheck(places))
      wake()
    },
    onDeaf: () => {},
    onGap: async () => {
      gaps++
      repairs.push(await driver.resync())
      wake()
    },
  })
  const driver: KernelDriver = new KernelDriver({
    processes,
    backend: 'nft',
    hooks: HOOKS,
    counters,
    announce: (family, table, chains) => monitor.expect(family, table, chains),
  })
  await monitor.start()
  await driver.open()
  await driver.adopt(world())
  t.teardown(() => {
    monitor.stop()
    return driver.close()
  })
  /** Resolves when the next repair is done. */
  const repaired = () => new Promise<void>(resolve => (wake = resolve))
  const settle = () => new Promise(resolve => setTimeout(resolve, 150))
  return { driver, monitor, counters, repairs, repaired, settle, gaps: () => gaps }
}

/** A `nft` that ends at once with these words, until told to stay. */
function brokenNft(said: string) {
  const state = { stays: false, starts: [] as number[] }
  const real = systemProcesses()
  const processes: Processes = {
    ...real,
    start(file, args, handlers) {
      state.starts.push(performance.now())
      if (state.stays) return real.start(file, args, handlers)
      return real.start('sh', ['-c', `echo '${said}' >&2; exit 1`], handlers)
    },
  }
  return { state, processes }
}

t.test(
  'a monitor that cannot listen is tried ever later, and told of once',
  { skip: inside.skip },
  async t => {
    const { state, processes } = brokenNft('Could not add membership')
    const told: (string | null)[] = []
    let gaps = 0
    const monitor = new KernelMonitor({
      processes,
      counters: kernelCounters(),
      onForeign: async () => {},
      onGap: async () => void gaps++,
      onDeaf: why => void told.push(why),
      pauses: { first: 20, longest: 500, steady: 100 },
    })
    t.teardown(() => monitor.stop())
    const began = performance.now()
    await monitor.start()
    t.ok(performance.now() - began < 1000, 'nothing waits for what has ended')
    while (state.starts.length < 6) await new Promise(resolve => setTimeout(resolve, 10))
    const waits = state.starts.slice(1).map((at, index) => at - state.starts[index]!)
    for (const [index, wait] of waits.entries()) t.ok(wait >= 20 * 2 ** index, `pause ${index}: ${wait} ms`)
    t.same(told, ['Could not add membership'])
    t.equal(gaps, 0, 'what never listens causes no full reads')
    state.stays = true
    while (told.length < 2) await new Promise(resolve => setTimeout(resolve, 10))
    t.same(told[1], null, 'it is told when it listens again')
    t.equal(gaps, 1, 'and then everything is looked at')
  },
)

t.test('follows foreign commits', { skip: inside.skip }, async t => {
  const { driver, monitor, counters, repairs, repaired, settle, gaps } = await followed(t)
  await settle()
  t.equal(counters.foreignCommits, 0, 'the first commits are known as ours')
  const before = { ...counters }

  await t.test('own commits cause no read', async t => {
    for (let n = 1; n <= 30; n++) {
      const rules = [`-s 10.0.0.${n}/32 -j DROP`]
      const chains = [
        chain('podf-list', rules),
        chain('podf-list', rules, { family: 6 }),
        chain(`podf-n${n}`, rules),
      ]
      chains[1] = chain('podf-list', [`-s fd00::${n}/128 -j DROP`], { family: 6 })
      await driver.apply({ sets: [], chains: [...chains, chain(`podf-n${n - 1}`, null)] })
    }
    await settle()
    t.equal(counters.foreignCommits, before.foreignCommits)
    t.equal(counters.chainReads + counters.saves, before.chainReads + before.saves)
    t.same(repairs, [])
  })

  await t.test('nor does what concerns neither our chains nor the place of our jumps', async t => {
    sh('iptables-nft -N OTHER; iptables-nft -A OTHER -j DROP; iptables-nft -A FORWARD -s 192.0.2.1 -j DROP')
    sh('iptables-nft -t nat -A POSTROUTING -j MASQUERADE; nft add table inet x; ipset create x hash:ip')
    sh('iptables-nft -t raw -A OUTPUT -j ACCEPT')
    await settle()
    t.equal(counters.foreignCommits, before.foreignCommits)
    t.same(repairs, [])
  })

  const cases: [string, string, () => unknown, unknown][] = [
    ['a flushed chain', 'iptables-nft -F podf-list', () => rulesOf('nft', 'podf-list').length, 2],
    [
      'a flushed chain of IPv6',
      'ip6tables-nft -F podf-from',
      () => rulesOf('nft', 'podf-from', { family: 6 }).length,
      3,
    ],
    [
      'a jump deleted',
      'iptables-nft -D INPUT -j podf-INPUT',
      () => rulesOf('nft', 'INPUT'),
      ['-j podf-INPUT'],
    ],
    [
      'a rule before our jump',
      'iptables-nft -I FORWARD -s 192.0.2.9 -j ACCEPT',
      () => rulesOf('nft', 'FORWARD').slice(0, 2),
      ['-j podf-FORWARD', '-s 192.0.2.9/32 -j ACCEPT'],
    ],
    [
      'the raw table flushed',
      'ip6tables-nft -t raw -F',
      () => rulesOf('nft', 'podf-PREROUTING', { family: 6, table: 'raw' }).length,
      2,
    ],
    ['everything gone', 'nft flush ruleset', () => rulesOf('nft', 'FORWARD'), ['-j podf-FORWARD']],
  ]
  for (const [name, command, look, expected] of cases) {
    await t.test(name, async t => {
      const done = repaired()
      sh(command)
      await done
      t.same(look(), expected)
      repairs.length = 0
      await settle()
      t.same(repairs, [], 'the repair itself is known as ours')
    })
  }
  t.match(await driver.resync(), { repairedChains: { length: 0 }, repairedHooks: { length: 0 } })

  await t.test('a foreign writer of the very chain that we write', async t => {
    for (let n = 1; n <= 20; n++) {
      const own = driver.apply({ sets: [], chains: [chain('podf-list', [`-s 10.1.0.${n}/32 -j DROP`])] })
      sh('iptables-nft -w -A podf-list -j ACCEPT')
      await own
    }
    await settle()
    await settle()
    t.same(rulesOf('nft', 'podf-list').slice(1), ['-s 10.1.0.20/32 -j DROP'])
  })

  await t.test('a monitor that dies is started again, and everything is looked at', async t => {
    const done = repaired()
    process.kill(monitor.pid ?? 0, 'SIGKILL')
    sh('iptables-nft -F podf-list')
    await done
    t.equal(gaps(), 1)
    t.equal(rulesOf('nft', 'podf-list').length, 2)
  })
})
