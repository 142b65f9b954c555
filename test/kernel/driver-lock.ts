import { spawn } from 'node:child_process'
import t from 'tap'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { adopted, chain, rulesOf, sh } from './bench.ts'

const inside = await enterSandbox()

t.test('legacy: the lock held by another is a wait', { skip: inside.skip }, async t => {
  const waits: (number | null)[] = []
  const driver = await adopted(t, 'legacy', {
    onWaiting: (family, ms) => void (family === 4 && waits.push(ms)),
    busyAfterMs: 2000,
  })
  const holder = spawn('flock', ['/run/xtables.lock', 'sleep', '1.6'])
  await new Promise(resolve => holder.on('spawn', () => setTimeout(resolve, 100)))
  const change = (n: number) => ({ sets: [], chains: [chain('podf-list', [`-s 10.0.0.${n}/32 -j DROP`])] })
  t.match(await driver.apply(change(1)), { chains: 1, refused: [] })
  t.equal(rulesOf('legacy', 'podf-list')[1], '-s 10.0.0.1/32 -j DROP')
  t.ok((waits[0] ?? 0) >= 1000)
  t.equal(waits.at(-1), null)

  await t.test('too long is KERNEL_BUSY, and the change comes with the next one', async t => {
    const stubborn = spawn('flock', ['/run/xtables.lock', 'sleep', '30'])
    await new Promise(resolve => stubborn.on('spawn', () => setTimeout(resolve, 100)))
    await t.rejects(driver.apply(change(2)), { code: 'KERNEL_BUSY' })
    t.equal(rulesOf('legacy', 'podf-list')[1], '-s 10.0.0.1/32 -j DROP')
    sh(`kill $(pgrep -P ${stubborn.pid}) ${stubborn.pid}`)
    t.match(await driver.apply({ sets: [], chains: [] }), { chains: 1 })
    t.equal(rulesOf('legacy', 'podf-list')[1], '-s 10.0.0.2/32 -j DROP')
  })
})
