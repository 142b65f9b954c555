import t, { type Test } from 'tap'
import type { Backend } from '../src/kernel/backend.ts'
import { systemProcesses } from '../src/kernel/process.ts'
import { enterSandbox } from '../src/lab/sandbox.ts'
import { openStage, type Stage, type StageOptions } from '../src/lab/stage.ts'
import type { Family } from '../src/model/values.ts'

/** One way in which every scenario is played. */
export interface Variant {
  readonly backend: Backend
  readonly families: readonly Family[]
}

/**
 * `quick` (npm test): nft with both families, and legacy with IPv4 where `everyBackend` asks for it. `full`: both with both.
 * `nft`, `legacy`: one with both.
 */
export function variants(everyBackend = false): readonly Variant[] {
  const nft: Variant = { backend: 'nft', families: [4, 6] }
  const legacy: Variant = { backend: 'legacy', families: [4, 6] }
  switch (process.env.PODFENCE_E2E ?? 'full') {
    case 'quick':
      return everyBackend ? [nft, { ...legacy, families: [4] }] : [nft]
    case 'nft':
      return [nft]
    case 'legacy':
      return [legacy]
    default:
      return [nft, legacy]
  }
}

export interface ScenarioOptions extends Omit<StageOptions, 'backend'> {
  readonly everyBackend?: true
  /** What this machine lacks for these scenarios: they are skipped, and this is the reason. */
  readonly missing?: string | false
}

/**
 * Plays a file's scenarios once in each variant, each on a stage of its own that ends with them:
 *
 *     await playScenarios({ flags: [] }, async (t, stage, { families }) => { t.test('...', ...) })
 */
export async function playScenarios(
  { everyBackend, missing, ...options }: ScenarioOptions,
  scenarios: (t: Test, stage: Stage, variant: Variant) => Promise<void>,
): Promise<void> {
  const { skip } = missing ? { skip: missing } : await enterSandbox()
  for (const variant of variants(everyBackend)) {
    const name = `iptables-${variant.backend}, ${variant.families.map(family => `IPv${family}`).join(' and ')}`
    await t.test(name, { skip, timeout: 0 }, async t => {
      const processes = systemProcesses()
      const stage = await openStage({ ...options, backend: variant.backend }, processes)
      t.teardown(async () => {
        await stage.close()
        processes.stopAll()
      })
      await scenarios(t, stage, variant)
    })
  }
}
