import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { KernelDriver } from '../../src/kernel/driver.ts'
import { type Child, type Processes, systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { adopted, chain, created, HOOKS, membersOf, rulesOf, set, sh, world } from './bench.ts'

const inside = await enterSandbox()

/** The real processes, with every long-lived child kept by its program's name. */
function watched(change: (child: Child, file: string) => Child = child => child) {
  const children = new Map<string, Child>()
  const real = systemProcesses()
  const processes: Processes = {
    ...real,
    start(file, args, handlers) {
      const child = change(real.start(file, args, handlers), file)
      children.set(file, child)
      return child
    },
  }
  return { processes, children }
}

const chainsOf = (repaired: { repairedChains: readonly { chain: string }[] }) =>
  repaired.repairedChains.map(({ chain }) => chain).sort()

for (const backend of ['nft', 'legacy'] as const) {
  const test = (name: string, body: (t: Test) => Promise<void>) =>
    t.test(`${backend}: ${name}`, { skip: inside.skip }, body)
  const tool = `iptables-${backend}`

  test('what others changed of ours is repaired, and nothing of theirs is touched', async t => {
    const driver = await adopted(t, backend)
    sh(
      `${tool} -F podf-list; ${tool} -A podf-from -j ACCEPT; ${tool} -N podf-stray; ${tool} -A podf-stray -j DROP`,
    )
    sh(`ip6tables-${backend} -F; ip6tables-${backend} -X`)
    sh(
      `${tool} -I FORWARD -s 192.0.2.1 -j ACCEPT; ${tool} -A FORWARD -j podf-FORWARD; ${tool} -D INPUT -j podf-INPUT`,
    )
    sh('ipset flush podf-4-a; ipset add podf-6-a fd00::bad')
    const repaired = await driver.resync()
    const all = ['podf-FORWARD', 'podf-INPUT', 'podf-OUTPUT', 'podf-from', 'podf-list']
    t.same(chainsOf(repaired), [...all, 'podf-from', 'podf-list', 'podf-stray'].sort())
    t.same(repaired.repairedHooks.map(({ family, chain }) => `${family} ${chain}`).sort(), [
      '4 FORWARD',
      '4 INPUT',
      '6 FORWARD',
      '6 INPUT',
      '6 OUTPUT',
    ])
    t.same([...repaired.repairedSets].sort(), ['podf-4-a', 'podf-6-a'])
    t.same(rulesOf(backend, 'FORWARD'), ['-j podf-FORWARD', '-s 192.0.2.1/32 -j ACCEPT'])
    t.same(rulesOf(backend, 'INPUT'), ['-j podf-INPUT'])
    t.equal(rulesOf(backend, 'podf-list').length, 3)
    t.equal(rulesOf(backend, 'podf-list', { family: 6 }).length, 3)
    t.same(rulesOf(backend, 'podf-stray'), [])
    t.same(membersOf('podf-4-a'), ['10.0.0.1', '10.0.0.2'])
    t.same(membersOf('podf-6-a'), ['fd00::1'])
    t.match(await driver.resync(), {
      transactions: 0,
      repairedChains: [],
      repairedHooks: [],
      repairedSets: [],
    })
  })

  for (const bad of ['-m nosuchmatch -j DROP', '-j MASQUERADE', '-m set --match-set nosuchset src -j DROP']) {
    test(`a rule that is refused (${bad}) stands alone`, async t => {
      const driver = await adopted(t, backend)
      const before = rulesOf(backend, 'podf-list')
      const applied = await driver.apply({
        sets: [],
        chains: [
          chain('podf-list', [bad], { owner: 'policy old' }),
          chain('podf-new', ['-s 10.0.0.1/32 -j DROP', bad], { owner: 'policy new' }),
          chain('podf-good', ['-s 10.0.0.9/32 -j DROP']),
          chain('podf-from', ['-j podf-new', '-j podf-good', '-j podf-list', '-j DROP'], {
            rank: 'dispatch',
          }),
        ],
      })
      t.same(applied.refused.map(({ owner }) => owner).sort(), ['policy new', 'policy old'])
      t.ok(applied.refused.every(({ said }) => said !== ''))
      t.same(rulesOf(backend, 'podf-list'), before, 'it keeps its last good content')
      t.same(rulesOf(backend, 'podf-new').slice(1), ['-j DROP'], 'a new one is closed')
      t.equal(rulesOf(backend, 'podf-good').length, 2)
      t.equal(rulesOf(backend, 'podf-from').length, 5)
      t.match(await driver.apply({ sets: [], chains: [] }), { transactions: 0 }, 'not tried on every write')
      t.equal((await driver.resync()).refused.length, 2, 'tried again on a resync')
      const mended = [chain('podf-new', ['-j DROP']), chain('podf-list', ['-j RETURN', '-j DROP'])]
      t.same((await driver.apply({ sets: [], chains: mended })).refused, [])
      t.equal(rulesOf(backend, 'podf-list').length, 3)
    })
  }

  test('a refused chain that leans on what goes is closed', async t => {
    const driver = await adopted(t, backend)
    const applied = await driver.apply({
      sets: [set('podf-4-a', { removed: true })],
      chains: [chain('podf-list', ['-j MASQUERADE'])],
    })
    t.equal(applied.refused.length, 1)
    t.same(rulesOf(backend, 'podf-list').slice(1), ['-j DROP'])
    await driver.settled()
    t.notMatch(sh('ipset list -n'), /podf-4-a/)
  })

  test('a set at its limit: the rest goes on, and nothing opens', async t => {
    const driver = await adopted(t, backend, { maxElements: 3 })
    const match = (negated: string) => `-m set ${negated}--match-set podf-4-full src`
    const delta = {
      sets: [created('podf-4-full', ['10.1.0.1', '10.1.0.2']), created('podf-4-other', [])],
      chains: [
        chain('podf-rules', [
          `${match('')} -j RETURN`,
          `-p tcp ${match('! ')} -j MARK --set-xmark 0x1000000/0x1000000`,
          `-p udp ${match('')} -j DROP`,
          `-p icmp ${match('! ')} -j DROP`,
        ]),
      ],
    }
    t.same((await driver.apply(delta)).short, [])
    const full = rulesOf(backend, 'podf-rules')
    t.equal(full.length, 5)
    const added = ['10.1.0.3', '10.1.0.4', '10.1.0.5']
    const applied = await driver.apply({
      sets: [set('podf-4-full', { added }), set('podf-4-other', { added: ['10.2.0.1'] })],
      chains: [],
    })
    t.match(applied.short, [{ set: 'podf-4-full', lacking: 2, said: /full/ }])
    t.same(membersOf('podf-4-other'), ['10.2.0.1'])
    t.same(rulesOf(backend, 'podf-rules').slice(1), [full[1], '-p udp -j DROP', full[4]])
    t.equal((await driver.resync()).short.length, 1)
    const shrunk = { sets: [set('podf-4-full', { deleted: ['10.1.0.1', '10.1.0.2'] })], chains: [] }
    t.same((await driver.apply(shrunk)).short, [])
    t.same(membersOf('podf-4-full'), added)
    t.same(rulesOf(backend, 'podf-rules'), full)
  })

  test('a set of another shape is swapped under its rules', async t => {
    const driver = await adopted(t, backend, { maxElements: 8 })
    await driver.close()
    const larger = new KernelDriver({ processes: systemProcesses(), backend, hooks: HOOKS, maxElements: 16 })
    t.teardown(() => larger.close())
    await larger.open()
    t.match(await larger.adopt(world()), { chains: 0, short: [] })
    t.match(sh('ipset list -t podf-4-a'), /maxelem 16 /)
    t.same(membersOf('podf-4-a'), ['10.0.0.1', '10.0.0.2'])
    await larger.settled()
    t.same(sh('ipset list -n').trim().split('\n').sort(), ['podf-4-a', 'podf-6-a', 'podf-ack'])
  })

  test('a set that cannot be made right is reported, and does not hold up the rest', async t => {
    const driver = await adopted(t, backend)
    sh(
      `ipset create podf-4-odd bitmap:port range 1-10; ${tool} -A OUTPUT -p tcp -m set --match-set podf-4-odd src -j ACCEPT`,
    )
    t.teardown(() => sh(`${tool} -F OUTPUT; sleep 0.1; ipset destroy podf-4-odd`))
    const odd = created('podf-4-odd', ['10.0.0.1'])
    const applied = await driver.apply({
      sets: [odd, created('podf-4-b', ['10.0.0.2'])],
      chains: [chain('podf-b', ['-j DROP'])],
    })
    t.match(applied.short, [{ set: 'podf-4-odd' }])
    t.type(driver.status().setTrouble?.said, 'string')
    t.same(membersOf('podf-4-b'), ['10.0.0.2'])
    t.equal(rulesOf(backend, 'podf-b').length, 2)
    t.match(await driver.apply({ sets: [], chains: [] }), { setLines: 0 }, 'not tried on every write')
  })

  test('killed tools are started again and nothing is lost', async t => {
    const { processes, children } = watched()
    const driver = await adopted(t, backend, { processes })
    for (const file of [`${tool}-restore`, `ip6tables-${backend}-restore`, 'ipset']) {
      const child = children.get(file)
      child?.kill()
      await child?.ended
    }
    const delta = {
      sets: [created('podf-4-b', ['10.0.0.9'])],
      chains: [
        chain('podf-b', ['-m set --match-set podf-4-b src -j DROP']),
        chain('podf-b', ['-j DROP'], { family: 6 }),
      ],
    }
    t.match(await driver.apply(delta), { refused: [] })
    t.same(membersOf('podf-4-b'), ['10.0.0.9'])
    t.equal(rulesOf(backend, 'podf-b').length, 2)
    t.equal(rulesOf(backend, 'podf-b', { family: 6 }).length, 2)
  })

  test('killed in the middle of a write', async t => {
    let armed = false
    const { processes } = watched((child, file) => ({
      ...child,
      write(text) {
        child.write(text)
        if (armed && file === `${tool}-restore`) child.kill()
        armed = false
      },
    }))
    const driver = await adopted(t, backend, { processes })
    armed = true
    const rules = Array.from({ length: 50 }, (_, n) => `-s 10.9.0.${n}/32 -j DROP`)
    t.match(await driver.apply({ sets: [], chains: [chain('podf-list', rules)] }), { refused: [] })
    t.equal(rulesOf(backend, 'podf-list').length, 51)
    t.match(await driver.resync(), { repairedChains: [] })
  })

  test('beside a foreign writer', async t => {
    const driver = await adopted(t, backend)
    const foreign = spawn('bash', [
      '-c',
      `for i in $(seq 60); do ${tool} -w -I FORWARD -s 192.0.2.$i -j ACCEPT; ${tool} -w -D FORWARD -s 192.0.2.$i -j ACCEPT; done`,
    ])
    const end = new Promise(resolve => foreign.on('exit', resolve))
    for (let n = 1; n <= 60; n++) {
      const applied = await driver.apply({
        sets: [],
        chains: [chain('podf-list', [`-s 10.0.0.${n}/32 -j DROP`])],
      })
      t.same(applied.refused, [])
    }
    await end
    t.equal(rulesOf(backend, 'podf-list')[1], '-s 10.0.0.60/32 -j DROP')
    t.same(rulesOf(backend, 'FORWARD'), ['-j podf-FORWARD'])
  })

  test('a tool that does not echo: a process per update, and the status says so', async t => {
    const { processes } = watched((child, file) =>
      file.endsWith('restore') ? { ...child, write: () => child.end() } : child,
    )
    const driver = await adopted(t, backend, { processes })
    t.equal(driver.status().spawnPerUpdate, true)
    t.equal(rulesOf(backend, 'podf-list').length, 3)
    const applied = await driver.apply({ sets: [], chains: [chain('podf-list', ['-j MASQUERADE'])] })
    t.equal(applied.refused.length, 1)
  })
}

t.test('nft: native rules of others in our tables', { skip: inside.skip }, async t => {
  const driver = await adopted(t, 'nft')
  sh('nft insert rule ip filter FORWARD ct state new counter log')
  sh('nft add chain ip filter theirs; nft add rule ip filter theirs ct state new counter log')
  t.match(sh('iptables-nft-save -t filter'), /incompatible/)
  sh('nft flush chain ip filter podf-list')
  const repaired = await driver.resync()
  t.same(chainsOf(repaired), ['podf-list'])
  t.match(repaired.repairedHooks, [{ family: 4, chain: 'FORWARD' }])
  t.match(
    sh('nft list chain ip filter FORWARD'),
    /accept;\n\t\tcounter packets \d+ bytes \d+ jump podf-FORWARD\n\t\tct state new/,
  )
  t.match(await driver.resync(), { transactions: 0, repairedHooks: [], repairedChains: [] })
  t.match(await driver.apply({ sets: [], chains: [chain('podf-list', ['-j DROP'])] }), {
    chains: 1,
    refused: [],
  })
  sh('nft flush chain ip filter FORWARD; nft flush chain ip filter theirs; nft delete chain ip filter theirs')
})
