import t from 'tap'
import type { Flow } from '../../src/kernel/conntrack.ts'
import type { CutReport, Judge } from '../../src/kernel/cut.ts'
import type { Family } from '../../src/model/values.ts'
import { ConnectionScan } from '../../src/runtime/connection-scan.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

const NONE: ReadonlySet<string> = new Set()
const REPORT: CutReport = { connections: 0, tuples: [], unclosed: [], reopened: [], milliseconds: 1 }

function flow(source: string, destination: string): Flow {
  return { family: 4, source, destination, protocol: 6, sourcePort: 1, destinationPort: 2 }
}

/** Everything of anybody is denied. */
function bench(fail = 0) {
  const judges: Judge[] = []
  const families: (readonly Family[] | undefined)[] = []
  const reopened: Judge[] = []
  const failures: unknown[] = []
  const clock = new FakeClock()
  let failing = fail
  const scan = new ConnectionScan({
    cutter: {
      async cutForbidden(judge, among) {
        judges.push(judge)
        families.push(among)
        if (failing-- > 0) throw new Error('no conntrack')
        return REPORT
      },
      async reopen(judge) {
        reopened.push(judge)
        return []
      },
    },
    judge: () => () => 'deny',
    clock,
    done: () => {},
    failed: error => failures.push(error),
  })
  return { scan, judges, families, reopened, failures, clock }
}

t.test('nothing to look at, nothing done', async t => {
  const { scan, judges, reopened } = bench()
  scan.look(NONE)
  await settle()
  t.same([judges.length, reopened.length], [0, 0])
})

t.test('whom a look concerns', async t => {
  const { scan, judges, clock } = bench()
  scan.look(new Set(['10.0.0.9']))
  await clock.advance(300)
  t.equal(judges[0]!(flow('10.0.0.1', '10.0.0.2')), 'not ours', 'no verdict of theirs may have changed')
  scan.look(new Set(['10.0.0.1']))
  await clock.advance(300)
  t.equal(judges[1]!(flow('10.0.0.1', '10.0.0.2')), 'deny')
  t.equal(judges[1]!(flow('10.0.0.2', '10.0.0.1')), 'deny')
  t.equal(judges[1]!(flow('10.0.0.2', '10.0.0.3')), 'not ours')
  scan.look(null)
  await clock.advance(300)
  t.equal(judges[2]!(flow('10.0.0.2', '10.0.0.1')), 'deny', 'all of them')
})

t.test('only families are listed of which an address is looked at', async t => {
  const { scan, families, clock } = bench()
  for (const addresses of [['10.0.0.1'], ['fd00::1'], ['10.0.0.1', 'fd00::1']]) {
    scan.look(new Set(addresses))
    await clock.advance(300)
  }
  scan.look(null)
  await clock.advance(300)
  t.same(families, [[4], [6], [4, 6], [4, 6]])
})

t.test('looks that come together are one scan after a rest, and reopening does not wait', async t => {
  const { scan, judges, reopened, clock } = bench()
  scan.look(new Set(['10.0.0.1']))
  await settle()
  t.equal(judges.length, 1, 'the first at once')
  scan.look(new Set(['10.0.0.2']))
  scan.look(new Set(['10.0.0.3']))
  await settle()
  t.same([judges.length, reopened.length], [1, 3])
  await clock.advance(300)
  t.equal(judges.length, 2)
})

t.test('a scan that failed is made again with everything that it should have looked at', async t => {
  const { scan, judges, failures, clock } = bench(1)
  scan.look(new Set(['10.0.0.1']))
  await settle()
  t.equal(failures.length, 1)
  await clock.advance(1000)
  t.equal(judges.length, 2)
  t.equal(judges[1]!(flow('10.0.0.2', '10.0.0.1')), 'deny')
})
