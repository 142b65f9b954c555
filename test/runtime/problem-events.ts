import t from 'tap'
import type { KubernetesProblem } from '../../src/model/kubernetes/problem.ts'
import { createLog } from '../../src/runtime/log.ts'
import { ProblemEvents, podWarnings } from '../../src/runtime/problem-events.ts'
import type { Source, SourceEvent } from '../../src/source/event.ts'
import { ApiError } from '../../src/source/kubernetes/api-error.ts'
import type { PodWarning } from '../../src/source/kubernetes/pod-event.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

const LOG = createLog({ level: 'silent', format: 'json', journal: false }, { write: () => {} })

function pod(uid: string, node = 'node1'): string {
  return JSON.stringify({ metadata: { uid }, spec: { nodeName: node } })
}

function problem(key: string, reason = 'it is wrong'): KubernetesProblem {
  return { key, reason, remedy: 'Correct it.', column: 7, effect: 'no inbound traffic' }
}

const KEY = '/kubernetes/pods/web/one'
const OTHER = '/kubernetes/pods/web/two'

t.test('what is told of whom', async t => {
  const policy = '/kubernetes/networkpolicies/web/deny'
  const problems = new Map([KEY, OTHER, policy].map(key => [key, problem(key)]))
  const entries = new Map([
    [KEY, pod('u1')],
    [OTHER, pod('u2', 'node2')],
    [policy, pod('u3')],
    ['/kubernetes/pods/web/fine', pod('u4')],
  ])
  const listed: SourceEvent = { kind: 'snapshot', revision: '1', entries }
  const message = 'Column 7: it is wrong: no inbound traffic. Correct it.'
  t.same(
    [...podWarnings(listed, problems, null)],
    [
      [KEY, { namespace: 'web', pod: 'one', uid: 'u1', reason: 'BadAnnotation', message }],
      [OTHER, { namespace: 'web', pod: 'two', uid: 'u2', reason: 'BadAnnotation', message }],
    ],
  )
  t.same(
    [...podWarnings(listed, problems, 'node2')].map(([, { pod, host }]) => [pod, host]),
    [['two', 'node2']],
  )
  const changed: SourceEvent = {
    kind: 'changes',
    revision: '2',
    changes: [
      { key: KEY, value: null },
      { key: OTHER, value: pod('u2') },
    ],
  }
  t.same(
    [...podWarnings(changed, problems, null)].map(([key]) => key),
    [OTHER],
  )
  t.same([...podWarnings({ kind: 'connection', connected: true, reason: '' }, problems, null)], [])
  t.same([...podWarnings(null, problems, null)], [])
  const unreadable: SourceEvent = {
    kind: 'snapshot',
    revision: '1',
    entries: new Map([
      [KEY, '{'],
      [OTHER, 'null'],
    ]),
  }
  t.same([...podWarnings(unreadable, problems, null)], [])
})

/** Events of a source whose translation finds these problems. */
function begin() {
  const written: PodWarning[] = []
  const state = { tells: true, fail: null as Error | null }
  const clock = new FakeClock()
  const events = new ProblemEvents({
    host: null,
    async write(warning) {
      if (state.fail !== null) throw state.fail
      written.push(warning)
    },
    tells: () => state.tells,
    clock,
    log: LOG,
  })
  let emitted: (event: SourceEvent) => void = () => {}
  const source: Source = {
    name: 'fake',
    relist: () => {},
    async run(emit) {
      emitted = emit
    },
  }
  let problems: ReadonlyMap<string, KubernetesProblem> = new Map()
  void events.listening(source).run(() => events.problems(problems), new AbortController().signal)
  const change = async (found: Record<string, KubernetesProblem>, values: Record<string, string | null>) => {
    problems = new Map(Object.entries(found))
    const changes = Object.entries(values).map(([key, value]) => ({ key, value }))
    emitted({ kind: 'changes', revision: '1', changes })
    await settle()
  }
  return {
    events,
    written,
    state,
    clock,
    change,
    told: () => written.map(({ uid, message }) => `${uid} ${message.split(':')[1]!.trim()}`),
  }
}

t.test('once for each pod and text', async t => {
  const { change, told } = begin()
  const wrong = { [KEY]: problem(KEY) }
  await change(wrong, { [KEY]: pod('u1') })
  await change(wrong, { [KEY]: pod('u1') })
  t.same(told(), ['u1 it is wrong'])
  await change({ [KEY]: problem(KEY, 'it is worse') }, { [KEY]: pod('u1') })
  t.same(told(), ['u1 it is wrong', 'u1 it is worse'])
  await change({}, { [KEY]: pod('u1') })
  await change(wrong, { [KEY]: pod('u1') })
  await change(wrong, { [KEY]: pod('u2') })
  t.same(told().slice(2), ['u1 it is wrong', 'u2 it is wrong'])
})

t.test('who begins to lead tells what nobody told', async t => {
  const { events, change, told, state } = begin()
  state.tells = false
  await change({ [KEY]: problem(KEY), [OTHER]: problem(OTHER) }, { [KEY]: pod('u1'), [OTHER]: pod('u2') })
  await change({ [OTHER]: problem(OTHER) }, { [KEY]: null })
  t.same(told(), [])
  state.tells = true
  events.tell()
  await settle()
  t.same(told(), ['u2 it is wrong'])
})

t.test('a failure is no storm, and one that is refused is in nobody\u2019s way', async t => {
  const { change, told, state, clock } = begin()
  const wrong = { [KEY]: problem(KEY), [OTHER]: problem(OTHER) }
  state.fail = new ApiError(0, '', 'away')
  await change(wrong, { [KEY]: pod('u1'), [OTHER]: pod('u2') })
  state.fail = new ApiError(403, 'Forbidden', 'the namespace is being terminated')
  await change(wrong, { [KEY]: pod('u1') })
  await clock.advance(60_000)
  state.fail = null
  await change(wrong, {})
  t.same(told(), [])
  await clock.advance(60_000)
  t.same(told(), ['u2 it is wrong'], 'also when nothing happens meanwhile')
})

t.test('what is refused for now is told later', async t => {
  for (const status of [401, 408, 429]) {
    const { change, told, state, clock } = begin()
    state.fail = new ApiError(status, '', 'not now')
    await change({ [KEY]: problem(KEY) }, { [KEY]: pod('u1') })
    state.fail = null
    await clock.advance(60_000)
    t.same(told(), ['u1 it is wrong'], String(status))
  }
})

t.test('nothing is told after the end', async t => {
  const { events, change, told, state, clock } = begin()
  state.fail = new ApiError(0, '', 'away')
  await change({ [KEY]: problem(KEY) }, { [KEY]: pod('u1') })
  state.fail = null
  await events.stop()
  await clock.advance(60_000)
  t.same(told(), [])
})
