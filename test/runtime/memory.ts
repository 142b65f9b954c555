import t from 'tap'
import { releaseMemory } from '../../src/runtime/memory.ts'

t.test('memory that is not needed any more is given back, and the collector stays out of reach', async t => {
  let garbage: string[] | null = Array.from({ length: 200_000 }, (_, n) => `member ${n}`)
  const kept = garbage.filter((_, n) => n % 100 === 0)
  const before = process.memoryUsage().heapUsed
  garbage = null
  releaseMemory()
  t.ok(before - process.memoryUsage().heapUsed > 4_000_000, 'megabytes are gone')
  t.equal(kept[1], 'member 100')
  t.equal(typeof globalThis.gc, 'undefined')
})
