import { join } from 'node:path'
import t from 'tap'
import type { Commands } from '../../src/lab/commands.ts'
import { labNode } from '../../src/lab/node.ts'
import { readArguments } from './arguments.ts'
import { type Case, CaseWorld, type Expectation, readCase } from './case.ts'
import { caseFiles } from './case-files.ts'
import { playAll } from './conformance.ts'
import type { Depth } from './depth.ts'
import { nodeRequests, podRequest } from './kernel-plan.ts'
import { inTurns } from './kernel-questions.ts'
import { hasPassed, playCase } from './runner.ts'

const LIFECYCLE = join(import.meta.dirname, 'fixtures/lifecycle.json')

/** A depth that gives every question the same answer, or fails. */
function always(allow: boolean | null | Error, refused: readonly string[] = []): Depth {
  return {
    name: 'always',
    begin: async () => ({
      judge: async asked => {
        if (allow instanceof Error) throw allow
        return asked.map(() => ({ allow, trail: async () => ['said so'] }))
      },
      act: async () => {},
      refused: () => refused,
    }),
    close: async () => {},
  }
}

function packet(allow: boolean, more: Partial<Expectation> = {}): Expectation {
  const ends = { from: 'x/a', to: 'x/b', family: 'IPv4', protocol: 'TCP', port: 80 } as const
  return { ...ends, egress: allow, ingress: allow, allow, ...more }
}

function caseOf(name: string, expect: readonly Expectation[], more: Partial<Case> = {}): Case {
  return { name, about: '', tags: [], nodes: [], namespaces: [], pods: [], policies: [], expect, ...more }
}

t.test('a case passes when every verdict without a strength is right', async t => {
  const told = packet(false, { strength: 'doc' })
  const good = await playCase(caseOf('good', [packet(true), told]), always(true))
  t.ok(hasPassed(good))
  t.equal(good.judged, 1)
  t.same([...good.told], [['doc', { asked: 1, otherwise: 1 }]])

  const bad = await playCase(caseOf('bad', [packet(true), packet(false)]), always(true))
  t.notOk(hasPassed(bad), 'one wrong verdict is enough')
  t.match(bad.wrong, [
    { when: 'at the start', answer: { allow: true }, parts: ['allow'], trail: ['said so'] },
  ])

  const steps = [{ name: 'later', actions: [], expect: [packet(false)] }]
  const late = await playCase(caseOf('late', [packet(true)], { steps }), always(true))
  t.match(late.wrong, [{ when: 'after the step "later"' }])

  t.notOk(
    hasPassed(await playCase(caseOf('unknown', [packet(false)]), always(null))),
    'no answer is no denial',
  )
  t.notOk(hasPassed(await playCase(caseOf('refused', [packet(true)]), always(true, ['an object']))))
  t.notOk(hasPassed(await playCase(caseOf('idle', [told]), always(true))), 'nothing judged is nothing shown')
  const failed = await playCase(caseOf('failed', [packet(true)]), always(new Error('no ground')))
  t.equal(failed.failure, 'no ground')
  t.notOk(hasPassed(failed))
})

t.test('each wrong verdict is told with its trail, and the last line counts cases', async t => {
  const lines: string[] = []
  const tell = async (cases: readonly Case[], ...depths: readonly Depth[]) => {
    lines.length = 0
    const open = depths.map(depth => async () => depth)
    return playAll(cases, open, text => void lines.push(text.replace(/\d+\.\d minutes/, 'a while')))
  }
  const cases = [
    caseOf('one', [packet(true)]),
    caseOf('two', [packet(false, { via: 'svc:x/s', viaPort: 8000 })]),
  ]
  t.equal(await tell(cases, always(true)), false)
  t.same(lines, [
    'not ok: two (always): 1 of 1 verdicts are wrong',
    '  at the start: x/a -> x/b TCP 80 called as svc:x/s 8000 IPv4: deny expected, allow',
    '      said so',
    'always: 2 cases, 2 verdicts, 1 wrong, a while',
    '1 passed, 1 failed',
  ])
  t.equal(await tell(cases.slice(0, 1), always(true)), true)
  t.equal(lines.at(-1), '1 passed, 0 failed')
  t.equal(await tell(cases, always(true), always(false)), false)
  t.equal(lines.at(-1), '0 passed, 2 failed', 'a case has to pass at every depth')
  t.equal(await tell([], always(true)), false, 'nothing played is nothing proven')
  t.equal(lines.at(-1), '0 passed, 0 failed')
})

t.test('the command line', async t => {
  t.same(readArguments([]), { depth: 'policy', backends: ['nft', 'legacy'], paths: [] })
  t.same(readArguments(['--depth', 'kernel', '--backend', 'legacy', 'a', 'b']), {
    depth: 'kernel',
    backends: ['legacy'],
    paths: ['a', 'b'],
  })
  for (const words of [['--depth', 'deep'], ['--backend', 'pf'], ['--strange']])
    t.throws(() => readArguments(words), { code: 'USAGE' }, words.join(' '))
})

t.test('case files', async t => {
  const folder = t.testdir({
    'b.json': '{}',
    'a.json': '{',
    'README.md': '',
    validation: { 'validation.json': '[]' },
    more: { 'c.json': '[]' },
  })
  const files = ['a.json', 'b.json', 'more/c.json'].map(name => join(folder, name))
  t.same(caseFiles([folder]), files)
  t.same(caseFiles(['more/c.json'], folder), files.slice(2), 'from the folder that npm was called in')
  t.throws(() => caseFiles([join(folder, 'validation')]).length, { code: 'USAGE' })
  t.throws(() => caseFiles([join(folder, 'none')]), { code: 'USAGE' })
  for (const file of files) t.throws(() => readCase(file), { code: 'USAGE' }, 'not a case')
})

t.test('a case is read as the API has its objects, and its steps as changes of them', async t => {
  const given = readCase(LIFECYCLE)
  const world = new CaseWorld(given)
  const entries = world.entries()
  const object = (key: string) => JSON.parse(entries.get(key)!)
  t.match(object('/kubernetes/pods/x/web'), {
    spec: { nodeName: 'n1' },
    status: { phase: 'Running', podIPs: [{ ip: '10.244.1.10' }, { ip: 'fd00:10:244:1::10' }] },
  })
  t.same(object('/kubernetes/pods/y/agent').spec.hostNetwork, true)
  t.same(object('/kubernetes/pods/y/new').status.podIPs, [])
  t.match(object('/kubernetes/nodes/n1').status.addresses, [{ type: 'InternalIP', address: '192.168.10.11' }])
  const told = given.steps!.map(({ actions }) =>
    world.act(actions).map(({ key, value }) => [key, value !== null]),
  )
  t.same(told[2], [
    ['/kubernetes/pods/y/new', false],
    ['/kubernetes/pods/x/stranger', true],
  ])
  t.same(
    told[6]!.filter(([, there]) => !there).map(([key]) => key),
    [
      '/kubernetes/namespaces/x',
      '/kubernetes/pods/x/web',
      '/kubernetes/pods/x/other',
      '/kubernetes/pods/x/stranger',
      '/kubernetes/pods/x/heir',
      '/kubernetes/networkpolicies/x/from-y',
    ],
    'a namespace takes along what is in it',
  )
})

t.test('nodes and pods in the laboratory have the addresses of the case', async t => {
  const { nodes, pods } = readCase(LIFECYCLE)
  const [one, two] = nodeRequests(nodes)
  t.same(one, {
    name: 'n1',
    addresses: {
      address4: '192.168.10.11',
      address6: 'fd00:192:168:10::11',
      gateway4: '10.244.1.1',
      bridge4: '10.244.1.0/24',
      gateway6: 'fd00:10:244:1::1',
      bridge6: 'fd00:10:244:1::/64',
    },
  })
  const shared = nodeRequests(nodes.map(({ name, ips }) => ({ name, ips: [...ips.slice(0, 2), '10.9.0.1'] })))
  t.same(
    Object.keys(shared[0]!.addresses!),
    ['address4', 'address6'],
    'a range of two nodes leads to neither',
  )
  t.same(nodeRequests([{ name: 'bare', ips: [] }]), [{ name: 'bare', addresses: {} }])

  const commands = {} as Commands
  const [first, second] = [one!, two!].map((request, index) => labNode(request, index + 1, 'nft', commands))
  const podNamed = (name: string) => pods.find(pod => pod.name === name)!
  t.match(podRequest(podNamed('web'), first!), { name: 'x.web', kind: 'routed', address4: '10.244.1.10' })
  t.match(podRequest(podNamed('client'), second!), { name: 'y.client', kind: 'bridge', hairpin: true })
  const stranger = { ...podNamed('client'), ips: ['10.244.1.99'] }
  t.match(podRequest(stranger, second!), { kind: 'routed', address4: '10.244.1.99', address6: null })
})

t.test('work is done so many at a time, and its results keep their order', async t => {
  let running = 0
  let most = 0
  const results = await inTurns([3, 1, 2, 5, 4], 2, async item => {
    most = Math.max(most, ++running)
    for (let turn = 0; turn < item; turn++) await Promise.resolve()
    running--
    return item * 10
  })
  t.same(results, [30, 10, 20, 50, 40])
  t.equal(most, 2)
})
