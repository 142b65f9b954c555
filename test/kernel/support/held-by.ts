import type { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import { FAMILIES } from '../../../src/model/values.ts'

/** All that a fake kernel holds, in one order. */
export function heldBy(fake: FakeKernel): string[] {
  const sets = fake.ipsetSave().split('\n').sort().join('\n')
  return [sets, ...FAMILIES.map(family => fake.save(family))]
}
