import { playScenarios } from '../stage.ts'
import { annotations } from './policies/annotations.ts'
import { namespaceIsolation } from './policies/namespace-isolation.ts'
import { rules } from './policies/rules.ts'
import { selectors } from './policies/selectors.ts'
import { tiers } from './policies/tiers.ts'

/** What policy can say, one world after the other before the same agents: what one leaves behind would spoil the next. */
await playScenarios({}, async (t, stage, variant) => {
  for (const play of [namespaceIsolation, annotations, rules, selectors, tiers])
    await t.test(play.name, async t => {
      await play(t, stage, variant)
      await stage.show({ endpoints: [] })
      await stage.lab.removePods(stage.lab.pods)
    })
})
