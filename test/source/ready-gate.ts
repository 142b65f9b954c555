import t from 'tap'
import { EtcdSource } from '../../src/source/etcd-source.ts'
import type { SourceEvent } from '../../src/source/event.ts'
import { passWhenReady, UNREADY } from '../../src/source/ready-gate.ts'
import { READY_KEY } from '../../src/source/v1-tree.ts'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { fill, open } from './etcd-heard.ts'
import { Heard } from './heard.ts'

t.setTimeout(120_000)

const OPEN = { open: true, reason: 'ready' }
const snapshot = (entries: Record<string, string>): SourceEvent => ({
  kind: 'snapshot',
  revision: '1',
  entries: new Map(Object.entries(entries)),
})
const changes = (...list: [key: string, value: string | null][]): SourceEvent => ({
  kind: 'changes',
  revision: '2',
  changes: list.map(([key, value]) => ({ key, value })),
})

t.test('a snapshot passes only with Ready exactly true', async t => {
  const good = snapshot({ [READY_KEY]: 'true', a: '1' })
  t.same(passWhenReady(UNREADY, good), { state: OPEN, event: good, relist: null })
  for (const value of ['True', 'true ', '"true"', '1', ''])
    t.match(passWhenReady(OPEN, snapshot({ [READY_KEY]: value })), {
      state: { open: false, reason: `${READY_KEY} is ${JSON.stringify(value)}, not true` },
      event: null,
      relist: null,
    })
  // A wiped store.
  t.match(passWhenReady(OPEN, snapshot({})), {
    state: { open: false, reason: `${READY_KEY} is missing` },
    event: null,
    relist: null,
  })
})

t.test('changes pass while open, and Ready written again changes nothing', async t => {
  for (const event of [changes(['a', '1'], ['b', null]), changes([READY_KEY, 'true'], ['a', '1'])])
    t.same(passWhenReady(OPEN, event), { state: OPEN, event, relist: null })
})

t.test('what comes together with the end of Ready does not pass', async t => {
  for (const value of [null, 'false'])
    t.match(passWhenReady(OPEN, changes(['a', null], [READY_KEY, value], ['b', null])), {
      state: { open: false },
      event: null,
      relist: null,
    })
})

t.test('while closed nothing passes; Ready back asks for a whole list', async t => {
  const closed = { open: false, reason: 'x' }
  t.same(passWhenReady(closed, changes(['a', '1'])), { state: closed, event: null, relist: null })
  const back = passWhenReady(closed, changes(['a', '1'], [READY_KEY, 'true']))
  t.match(back, { state: { open: false }, event: null, relist: `${READY_KEY} is back` })
  t.equal(passWhenReady(back.state, changes(['b', '1'])).event, null, 'still closed until the list is there')
  // Gone and back within one event: the changes between cannot be told from good ones.
  t.match(passWhenReady(OPEN, changes([READY_KEY, null], ['a', null], [READY_KEY, 'true'])), {
    state: { open: false },
    event: null,
    relist: `${READY_KEY} is back`,
  })
})

t.test('the connection is always told of', async t => {
  const event: SourceEvent = { kind: 'connection', connected: false, reason: 'gone' }
  t.same(passWhenReady(UNREADY, event), { state: UNREADY, event, relist: null })
})

t.test('a wiped and refilled etcd, seen through the gate', { skip: etcdMissing }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 3)
  let state = UNREADY
  const passed: SourceEvent[] = []
  const source = new EtcdSource(store)
  const heard = new Heard(source, event => {
    const step = passWhenReady(state, event)
    state = step.state
    if (step.event && step.event.kind !== 'connection') passed.push(step.event)
    if (step.relist) source.relist(step.relist)
  })
  t.teardown(() => heard.stop())
  await heard.until(() => heard.snapshots === 1)
  t.same(passed, [], 'nothing before Ready')
  await etcd.put(READY_KEY, 'true')
  await heard.until(() => state.open)
  const sizes = () => passed.map(event => (event.kind === 'snapshot' ? event.entries.size : event.kind))
  t.same(sizes(), [4])
  await etcd.wipe()
  await heard.until(() => !state.open)
  t.equal(state.reason, `${READY_KEY} is missing`)
  await fill(store, 'b', 2)
  await heard.until(() => heard.entries.has('/calico/v1/b/1'))
  t.same(sizes(), [4], 'what stood before the wipe still stands')
  await etcd.put(READY_KEY, 'true')
  await heard.until(() => state.open)
  t.same(sizes(), [4, 3])
})
