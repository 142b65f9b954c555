import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import type { ModelChange } from '../../src/model/values.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { judge, permits } from '../../src/policy/verdict.ts'
import { Mirror } from './support/mirror.ts'
import { naivelyAllowed } from './support/naive-verdict.ts'
import { Oracle } from './support/oracle.ts'
import { anyChange, breakage, packet, settledWorld } from './support/random-world.ts'
import { HERE } from './support/world.ts'

t.test('after every step the deltas add up to what a wholesale computation says', async t => {
  let incomplete = 0
  let steps = 0
  fc.assert(
    fc.property(
      settledWorld,
      fc.array(
        fc.array(fc.oneof({ weight: 3, arbitrary: anyChange }, { weight: 1, arbitrary: breakage }), {
          maxLength: 4,
        }),
        { maxLength: 12 },
      ),
      (start, more) => {
        const engine = new PolicyEngine(HERE)
        const mirror = new Mirror()
        const seen: ModelChange[] = []
        for (const step of [start, ...more]) {
          for (const change of step) engine.update(change)
          seen.push(...step)
          mirror.apply(engine.take())
          steps++
          if (engine.counts().incompleteSets > 0) incomplete++
          const expected = new Oracle(seen).state()
          assert.deepStrictEqual(mirror.state(), expected)
          assert.deepStrictEqual(new Mirror().apply(engine.whole()).state(), expected)
        }
      },
    ),
    { numRuns: 150 },
  )
  t.ok(incomplete > steps / 20, `sets are incomplete often enough to tell: ${incomplete} of ${steps}`)
})

const options = fc.record({
  nodeToWorkload: fc.constantFrom('allow' as const, 'policy' as const),
  workloadToNode: fc.constantFrom('allow' as const, 'drop' as const),
})

t.test('the verdict is what the model says, by whichever way it is asked', async t => {
  const seen = { allowed: 0, denied: 0 }
  const by = new Map<string, number>()
  fc.assert(
    fc.property(
      settledWorld,
      fc.array(fc.oneof(anyChange, breakage), { maxLength: 10 }),
      fc.array(packet, { minLength: 40, maxLength: 40 }),
      options,
      (start, changes, packets, settings) => {
        const engine = new PolicyEngine(HERE)
        for (const change of [...start, ...changes]) engine.update(change)
        const mirror = new Mirror().apply(engine.take())
        const oracle = new Oracle([...start, ...changes])
        for (const each of packets) {
          const verdict = judge(engine, each, settings)
          seen[verdict.allow ? 'allowed' : 'denied']++
          const reason = verdict.by.replace(/ .*/, '')
          by.set(reason, (by.get(reason) ?? 0) + 1)
          const text = `${JSON.stringify(each)} ${verdict.by}`
          assert.equal(verdict.allow, naivelyAllowed(oracle, each, settings), text)
          assert.equal(permits(engine, each, settings), verdict.allow, text)
          assert.deepStrictEqual(judge(mirror, each, settings), verdict)
          assert.equal(verdict.allow, verdict.egress !== false && verdict.ingress !== false, text)
          assert.ok(
            verdict.trail.some(({ at }) => at === verdict.by),
            text,
          )
        }
      },
    ),
    { numRuns: 150 },
  )
  t.ok(Math.min(seen.allowed, seen.denied) > 300, `both happen often: ${JSON.stringify(seen)}`)
  for (const reason of ['policy', 'profile', 'end', 'hairpin'])
    t.ok((by.get(reason) ?? 0) > 10, `${reason} decides often enough to tell: ${by.get(reason)}`)
})
