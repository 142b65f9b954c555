import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { testDirectory } from './support/certificates.ts'
import { namespace, networkPolicy, pod } from './support/cluster-objects.ts'
import { FakeApiServer } from './support/fake-api-server.ts'
import { agrees, listenTo, until } from './support/kubernetes-heard.ts'

t.setTimeout(300_000)

interface Step {
  readonly what: keyof typeof STEPS
  readonly at: number
}

/** What may happen to a cluster and to the way to it. */
const STEPS = {
  put: (fake: FakeApiServer, at: number) => fake.put('pods', pod('prod', `p${at % 5}`, `10.0.0.${at}`)),
  finish: (fake: FakeApiServer, at: number) =>
    fake.put('pods', pod('prod', `p${at % 5}`, '10.0.0.9', { phase: 'Succeeded' })),
  remove: (fake: FakeApiServer, at: number) => fake.discard('pods', 'prod', `p${at % 5}`),
  label: (fake: FakeApiServer, at: number) => fake.put('namespaces', namespace('prod', { at: String(at) })),
  allow: (fake: FakeApiServer, at: number) =>
    fake.put('networkpolicies', networkPolicy('prod', 'n', { ingress: [{ at }] })),
  deny: (fake: FakeApiServer) => fake.discard('networkpolicies', 'prod', 'n'),
  bookmark: (fake: FakeApiServer) => fake.bookmark(),
  end: (fake: FakeApiServer) => fake.endWatches(),
  cut: (fake: FakeApiServer) => fake.cut(),
  cutWithin: (fake: FakeApiServer, at: number) => fake.cutWithin('pods', pod('prod', 'cut', `10.0.1.${at}`)),
  forget: (fake: FakeApiServer) => {
    fake.compact()
    fake.cut()
  },
  expire: (fake: FakeApiServer) => fake.shout('pods', '{"type":"ERROR","object":{"code":410}}\n'),
  garbage: (fake: FakeApiServer) => fake.shout('namespaces', '{]\n'),
  refuse: (fake: FakeApiServer) => fake.refuse(),
  accept: (fake: FakeApiServer) => fake.accept(),
  freeze: (fake: FakeApiServer) => fake.freeze(),
  thaw: (fake: FakeApiServer) => fake.thaw(),
  restore: (fake: FakeApiServer) => fake.restore(fake.version - 50, fake.backup().slice(1)),
} as const

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(...(Object.keys(STEPS) as (keyof typeof STEPS)[])),
  at: fc.nat(250),
})

t.test('whatever happens in whatever order, in the end the source tells what the server holds', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean()), { minLength: 10, maxLength: 60 }),
      async steps => {
        const fake = await FakeApiServer.start(t)
        fake.version = 10_000
        fake.put('namespaces', namespace('prod'))
        const heard = listenTo(t, fake, { pageSize: 2, quietMs: 50, answerMs: 2_000 })
        // Whoever waits in vain finds here what it waits after.
        t.comment(steps.map(([{ what, at }, pause]) => `${what} ${at}${pause ? ' .' : ''}`).join(', '))
        for (const [{ what, at }, pause] of steps) {
          STEPS[what](fake, at)
          if (pause) await new Promise(resolve => setTimeout(resolve, 1))
        }
        fake.accept()
        fake.thaw()
        await until(() => heard.snapshots > 0 && agrees(heard, fake))
        fake.put('pods', pod('prod', 'last', '10.0.2.1'))
        await until(() => agrees(heard, fake))
        await heard.stop()
        t.ok(agrees(heard, fake))
      },
    ),
    { numRuns: 25, interruptAfterTimeLimit: 60_000 },
  )
})

t.test('a source whose token is refused goes on where it was when there is another one', async t => {
  const fake = await FakeApiServer.start(t)
  const file = join(testDirectory(t), 'token')
  writeFileSync(file, 'first')
  fake.token = 'first'
  fake.put('pods', pod('prod', 'a', '10.0.0.1'))
  const heard = listenTo(t, fake, {}, {}, { token: { file } })
  await until(() => fake.watching === 3)
  fake.token = 'second'
  fake.put('pods', pod('prod', 'b', '10.0.0.2'))
  await until(() => agrees(heard, fake))
  fake.cut()
  await heard.until(() => /401 Unauthorized/.test(heard.connections.at(-1)?.reason ?? ''))
  fake.put('pods', pod('prod', 'c', '10.0.0.3'))
  writeFileSync(file, 'second')
  await until(() => agrees(heard, fake))
  t.equal(heard.snapshots, 1)
})
