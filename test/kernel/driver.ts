import t, { type Test } from 'tap'
import { KernelDriver, type KernelDriverOptions } from '../../src/kernel/driver.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import type { Family } from '../../src/model/values.ts'
import { chain, HOOKS, membersOf, rulesOf, set, sh, world } from './bench.ts'

const inside = await enterSandbox()

async function opened(t: Test, backend: 'nft' | 'legacy', more: Partial<KernelDriverOptions> = {}) {
  const driver = new KernelDriver({ processes: systemProcesses(), backend, hooks: HOOKS, ...more })
  t.teardown(() => driver.close())
  await driver.open()
  return driver
}

for (const backend of ['nft', 'legacy'] as const) {
  t.test(`${backend}: from an empty kernel and back`, { skip: inside.skip }, async t => {
    const driver = await opened(t, backend)
    const applied = await driver.adopt(world())
    t.match(applied, { transactions: 5, chains: 12, refused: [], short: [] })
    t.same(rulesOf(backend, 'FORWARD'), ['-j podf-FORWARD'])
    t.same(rulesOf(backend, 'PREROUTING', { table: 'raw', family: 6 }), ['-j podf-PREROUTING'])
    t.equal(rulesOf(backend, 'podf-list', { family: 6 }).length, 3)
    t.same(membersOf('podf-4-a'), ['10.0.0.1', '10.0.0.2'])
    t.match(await driver.adopt(world()), { transactions: 0, chains: 0, setLines: 0 })

    await t.test('a warm restart rewrites nothing', async t => {
      const again = await opened(t, backend)
      t.match(await again.adopt(world()), { transactions: 0, chains: 0, rules: 0, setLines: 0 })
      t.match(await again.resync(), {
        transactions: 0,
        repairedChains: [],
        repairedHooks: [],
        repairedSets: [],
      })
    })

    await t.test('differences only', async t => {
      const delta = {
        chains: [chain('podf-list', ['-j DROP'])],
        sets: [set('podf-4-a', { added: ['10.0.0.3'], deleted: ['10.0.0.1'] })],
      }
      const applied = await driver.apply(delta)
      t.match(applied, { transactions: 3, chains: 1, rules: 2, setLines: 2 }, 'leave, chains, join')
      t.same(membersOf('podf-4-a'), ['10.0.0.2', '10.0.0.3'])
      t.equal(rulesOf(backend, 'podf-list')[1], '-j DROP')
      const churn = set('podf-4-a', { added: ['10.0.0.1'], deleted: ['10.0.0.3'] })
      t.match(
        await driver.apply({ chains: [], sets: [churn] }),
        { transactions: 1, setLines: 2 },
        'one batch',
      )
      t.same(membersOf('podf-4-a'), ['10.0.0.1', '10.0.0.2'])
    })

    await t.test(
      'a chain and a set that are no longer wanted go, the set when the kernel lets go of it',
      async t => {
        await driver.apply({
          chains: [
            chain('podf-from', ['-j DROP'], { rank: 'dispatch' }),
            chain('podf-FORWARD', [], { rank: 'top' }),
            chain('podf-list', null),
          ],
          sets: [set('podf-4-a', { removed: true })],
        })
        await driver.settled()
        t.same(rulesOf(backend, 'podf-list'), [])
        t.notMatch(sh('ipset list -n'), /podf-4-a/)
      },
    )

    await t.test(
      'before the desired state is known, what stands is kept, and the gate is put where it does not',
      async t => {
        await driver.adopt(world())
        const gate = ([4, 6] as const).flatMap(family =>
          HOOKS.map(({ table, chain: name }) => chain(name, ['-i cali+ -j DROP'], { family, table })),
        )
        const start = async (elsewhere: readonly Family[] = []) => {
          const again = await opened(t, backend)
          let asked = 0
          const closed = async () => {
            asked++
            return elsewhere
          }
          return { again, gated: await again.hold({ sets: [], chains: gate }, closed), asked }
        }
        const forward = (family: 4 | 6) => [
          rulesOf(backend, 'FORWARD', { family }),
          rulesOf(backend, 'podf-FORWARD', { family }),
        ]
        const [tool, tool6] = [`iptables-${backend}`, `ip6tables-${backend}`]
        const standing = forward(4)
        t.match(await start(), { gated: [], asked: 0 }, 'nobody is asked when all of it stands')

        sh(`${tool} -D FORWARD -j podf-FORWARD; ${tool6} -F; ${tool6} -X`)
        const first = await start()
        t.match(first, { gated: [6], asked: 1 }, 'one family without rules of ours')
        t.same(forward(4), standing, 'a jump that was taken away stands again, with nothing rewritten')
        t.match(forward(6), [['-j podf-FORWARD'], { length: 2 }])

        sh(`${tool} -F podf-FORWARD; ${tool} -D INPUT -j podf-INPUT`)
        t.match(await first.again.resync(), { repairedChains: { length: 1 }, repairedHooks: { length: 1 } })
        t.same(forward(4), standing, 'what is changed while the store is waited for is repaired')

        sh(`${tool} -F podf-from`)
        t.same((await start([4])).gated, [], 'what is closed otherwise needs no gate')
        const second = await start()
        t.same(second.gated, [4], 'an emptied chain that a goto leads to would let everything through')
        t.same(forward(4)[1]?.slice(1), ['-i cali+ -j DROP'])
        t.match(await second.again.adopt(world()), { refused: [] })
        t.same(forward(4), standing)
      },
    )

    t.same((await driver.adopt({ sets: [], chains: [] })).refused, [])
    await driver.settled()
    t.notMatch(sh(`iptables-${backend}-save; ip6tables-${backend}-save`), /podf/)
    t.equal(sh('ipset list -n').trim(), 'podf-ack')
  })
}
