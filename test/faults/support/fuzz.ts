import fc from 'fast-check'
import { ModelTree } from '../../../src/model/tree.ts'
import type { KeyChange } from '../../../src/source/event.ts'
import { READY_KEY } from '../../../src/source/v1-tree.ts'
import { fuzzedKey, fuzzedValue } from '../../model/support/fuzzed-store.ts'

/** Printed, and taken again, to play a run once more. */
export const FUZZ_SEED = Number(process.env.PODFENCE_FUZZ_SEED ?? Date.now() % 1_000_000)

/** A thousand at a time, since each keeps the others alive. */
export function* fuzz(good: ReadonlyMap<string, string>, count: number): Generator<KeyChange> {
  const arbitrary = fuzzOf(good)
  for (let at = 0; at < count; at += 1000)
    yield* fc.sample(arbitrary, { numRuns: Math.min(1000, count - at), seed: FUZZ_SEED + at })
}

/** Mostly anything anywhere, now and then a value for one of the keys of `good` that is refused there. */
function fuzzOf(good: ReadonlyMap<string, string>): fc.Arbitrary<KeyChange> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ key: fuzzedKey, value: fuzzedValue }) },
    { weight: 1, arbitrary: refusedFor(good) },
  )
}

/** So the good value of before has to stand. */
function refusedFor(good: ReadonlyMap<string, string>): fc.Arbitrary<KeyChange> {
  const tree = new ModelTree()
  tree.snapshot(good)
  const keys = [...good.keys()].filter(key => key !== READY_KEY)
  return fc.record({ key: fc.constantFrom(...keys), value: fuzzedValue }).filter(change => {
    if (change.value === null) return false
    tree.change([change])
    const refused = tree.lastGoodStands(change.key)
    tree.change([{ key: change.key, value: good.get(change.key)! }])
    return refused
  })
}
