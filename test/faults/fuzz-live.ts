import { hasEnforced } from '../../src/lab/stage.ts'
import type { KeyChange } from '../../src/source/event.ts'
import { playScenarios } from '../stage.ts'
import { FUZZ_SEED, fuzz } from './support/fuzz.ts'
import { openTwin } from './support/kernel-state.ts'
import { openPost } from './support/post.ts'

/** Said here, so that a fuzzed InterfacePrefix in the store, which may be a good one, names no other workloads. */
const PREFIX = ['--interface-prefixes', 'cali']
const ROUNDS = 100
/** So many are written before all of them must be enforced. */
const CHANGES = 500

await playScenarios({ nodes: ['n1', 'twin'], agents: false }, async (t, stage, { families }) => {
  const twin = openTwin(stage)

  await t.test(
    `${ROUNDS * CHANGES} fuzzed changes through etcd into a living agent, seed ${FUZZ_SEED}`,
    async t => {
      const post = await openPost(stage, 'n1', { families, flags: PREFIX })
      const guard = post.shown
      const first = (await post.status())!
      const spoilt = new Set<string>()
      const refusedByKernel: unknown[] = []
      const changes = [...fuzz(guard, ROUNDS * CHANGES)]
      for (let at = 0; at < changes.length; at += CHANGES) {
        for (const transaction of transactions(changes.slice(at, at + CHANGES)))
          await post.commit(transaction)
        const { refused } = await post.untilStatus('everything is enforced', status =>
          hasEnforced(status, post.written),
        )
        refusedByKernel.push(...refused)
      }
      for (const { key } of changes) if (!guard.has(key)) spoilt.add(key)
      t.same(refusedByKernel, [], 'the kernel took all that the model took')
      const status = (await post.status())!
      t.equal(status.startedAt, first.startedAt, 'the same agent is still there')
      await post.commit([...spoilt].map(key => ({ key, value: null })))
      await post.enforced()
      await post.traffic.passes()
      const refused = (await post.status())!.rejections.filter(({ key }) => guard.has(key))
      t.comment(
        `${changes.length} changes, ${spoilt.size} keys, ${refused.length} guarded keys hold refused values`,
      )
      t.ok(refused.length > 0, 'what was enforced before stands though the store holds refused values')
      await post.closed(t, 'fuzzed', null)
      post.forget()
      await post.show()
      await post.closed(t, 'fuzzed and mended', twin)
    },
  )
})

/** In order, each transaction with each key once at most. */
function* transactions(changes: readonly KeyChange[]): Generator<readonly KeyChange[]> {
  let batch = new Map<string, KeyChange>()
  for (const change of changes) {
    if (batch.has(change.key)) {
      yield [...batch.values()]
      batch = new Map()
    }
    batch.set(change.key, change)
  }
  yield [...batch.values()]
}
