import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { KernelDriver } from '../../src/kernel/driver.ts'
import type { Applied, Refusal, Repaired, Unmet } from '../../src/kernel/report.ts'
import type { Family, WorkloadEndpoint } from '../../src/model/values.ts'
import type { KernelDelta } from '../../src/render/kernel-delta.ts'
import { openDoors } from '../../src/runtime/agent-doors.ts'
import { AgentLife } from '../../src/runtime/agent-life.ts'
import { agentStatus, endpointGround, newNotes, statusLine } from '../../src/runtime/agent-status.ts'
import { countStates } from '../../src/runtime/endpoint-states.ts'
import { Enforcement } from '../../src/runtime/enforcement.ts'
import { Health } from '../../src/runtime/health.ts'
import { LiveSettings } from '../../src/runtime/live-settings.ts'
import { createLog, type Logger } from '../../src/runtime/log.ts'
import { createMetrics } from '../../src/runtime/metrics.ts'
import { renderOptions } from '../../src/runtime/render-options.ts'
import type { Settings } from '../../src/runtime/setting-table.ts'
import type { SettingSources } from '../../src/runtime/settings.ts'
import { Watchdog } from '../../src/runtime/watchdog.ts'
import type { Source, SourceEvent } from '../../src/source/event.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

const QUIET: Logger = createLog({ level: 'silent', format: 'json', journal: false }, { write: () => {} })
const TRAITS = { bridgeFilter: true, protocolNames: new Map<number, string>() }
const NOTHING: Applied = { transactions: 0, chains: 0, rules: 0, setLines: 0, refused: [], short: [] }

/** A driver that only notes what it is asked, and lacks what it is told to. */
class NotingDriver {
  readonly unmet: { -readonly [Name in keyof Unmet]: Unmet[Name] } = { refused: [], short: [] }
  readonly calls: (readonly [string, unknown])[] = []

  get driver(): KernelDriver {
    return this as unknown as KernelDriver
  }

  /** Our chains as an earlier run has left them, in both families. */
  held: ReadonlyMap<string, readonly string[]> = new Map()

  /** So many applies to come fail. */
  failing = 0

  async adopt(full: KernelDelta): Promise<Applied> {
    this.calls.push(['adopt', full])
    return { ...NOTHING, ...this.unmet }
  }

  async apply(delta: KernelDelta): Promise<Applied> {
    this.calls.push(['apply', delta])
    if (this.failing-- > 0) throw new Error('busy')
    return { ...NOTHING, ...this.unmet }
  }

  status() {
    return { ...this.unmet, setTrouble: null }
  }

  async hold(_gate: KernelDelta, closed: () => Promise<readonly Family[]>): Promise<readonly Family[]> {
    this.calls.push(['hold', closed])
    return []
  }

  limitSets(maxElements: number): void {
    this.calls.push(['limit', maxElements])
  }

  heldChains(family: Family): ReadonlyMap<string, readonly string[]> {
    return family === 4 ? this.held : new Map()
  }
}

const SOURCES: SettingSources = {
  flags: new Map([['bridges', 'cbr0']]),
  env: {},
  file: null,
  store: new Map(),
  host: { hostname: 'node1' },
}

function agent(sources = SOURCES, elsewhere: readonly Family[] = []) {
  const log = QUIET
  const live = new LiveSettings(sources, log)
  const traits = TRAITS
  const kernel = new NotingDriver()
  const clock = new FakeClock()
  const page = createMetrics()
  page.close()
  const { metrics } = page
  const looked: (ReadonlySet<string> | null)[] = []
  const enforcement = new Enforcement({
    host: 'node1',
    render: renderOptions(live.now, traits),
    driver: kernel.driver,
    clock,
    log,
    metrics,
    standingElsewhere: async () => elsewhere,
    former: {
      due: (_, taken) => taken,
      end: async addresses => void kernel.calls.push(['end', [...addresses]]),
    },
    enforced: (addresses, left) => {
      looked.push(addresses)
      if (left.size > 0) kernel.calls.push(['left', [...left]])
    },
  })
  const watch: Source = { name: 'test', run: async () => {}, relist: () => {} }
  const notes = newNotes('node1', 'test')
  const told: (string | undefined)[] = []
  const life = new AgentLife({
    live,
    source: { watch, statusStore: null, gated: false, attachments: null, close: () => {} },
    traits,
    enforcement,
    driver: kernel.driver,
    otherBackend: { look: async () => {}, clear: async () => {} },
    log,
    metrics,
    clock,
    health: new Health(clock),
    watchdog: new Watchdog(clock, 1000),
    notes,
    changed: () => told.push(statusLine(notes).split(';')[0]),
  })
  const statusNow = () => agentStatus(notes, enforcement, kernel.driver, new Health(clock))
  const counted = () => countStates(enforcement.endpoints(), endpointGround(enforcement, kernel.driver, null))
  return { enforcement, life, kernel, looked, clock, told, statusNow, counted }
}

const snapshot = (entries: Record<string, string> = {}): SourceEvent => ({
  kind: 'snapshot',
  revision: '1',
  entries: new Map(Object.entries(entries)),
})

function endpoint(name: string, address: string): { id: string; value: WorkloadEndpoint } {
  const place = { host: 'node1', orchestrator: 'k8s', workload: name, endpoint: 'eth0' }
  const value = {
    ...place,
    active: true,
    interface: `cali${name}`,
    mac: null,
    profiles: [],
    addresses4: [address],
    addresses6: [],
    labels: new Map([['app', name]]),
  }
  return { id: `node1/k8s/${name}/eth0`, value }
}

t.test('what a renderer that failed had taken is not lost', async t => {
  const { enforcement, kernel } = agent()
  enforcement.take(snapshot())
  await enforcement.step()
  const policy = {
    selector: 'all()',
    inbound_rules: [{ action: 'deny', src_selector: "app == 'bad'" }],
  }
  const good = endpoint('good', '10.0.0.1')
  const changes = [
    { key: '/calico/v1/policy/tier/default/metadata', value: '{"order":1}' },
    { key: '/calico/v1/policy/tier/default/policy/p', value: JSON.stringify(policy) },
  ]
  enforcement.take({ kind: 'changes', revision: '2', changes })
  enforcement.engine.update({ kind: 'workload-endpoint', ...good })
  const bad = endpoint('bad', 'no address')
  enforcement.engine.update({ kind: 'workload-endpoint', ...bad })
  await t.rejects(enforcement.step(), { code: 'OBJECT_INVALID' })
  enforcement.engine.update({ kind: 'workload-endpoint', id: bad.id, value: null })
  await enforcement.step()
  const [verb, full] = kernel.calls.at(-1)!
  t.equal(verb, 'adopt', 'the whole state is handed over')
  const owners = (full as KernelDelta).chains.map(({ owner }) => owner)
  t.ok(owners.includes(`endpoint ${good.id} to`))
  t.notOk(owners.includes(`endpoint ${bad.id} to`))
})

t.test('connections made while others had opened our rules are judged', async t => {
  const { enforcement, life, looked } = agent()
  const repaired = (count: number): Promise<Repaired> =>
    Promise.resolve({
      ...NOTHING,
      repairedChains: Array.from({ length: count }, () => ({ family: 4, table: 'filter', chain: 'podf-to' })),
      repairedHooks: [],
      repairedSets: [],
    })
  await life.repaired(repaired(1))
  t.same(looked, [], 'before the first sync nothing is known to judge by')
  enforcement.take(snapshot())
  await enforcement.step()
  looked.length = 0
  await life.repaired(repaired(0))
  t.same(looked, [])
  await life.repaired(repaired(1))
  t.same(looked, [null], 'all of them')
})

/** Two endpoints with a profile each; what the second's profile says uses a set. */
const TWO = {
  '/calico/v1/policy/profile/web/rules': '{}',
  '/calico/v1/policy/profile/db/rules': '{"inbound_rules":[{"action":"allow","src_tag":"friends"}]}',
  ...workload('a', '"name":"cali1","profile_ids":["web"],"ipv4_nets":["10.0.0.1"]'),
  ...workload('b', '"name":"cali2","profile_ids":["db"],"ipv4_nets":["10.0.0.2"]'),
}

function workload(name: string, fields: string): Record<string, string> {
  return { [`/calico/v1/host/node1/workload/k8s/${name}/endpoint/eth0`]: `{"state":"active",${fields}}` }
}

const refusal = (owner: string, more: Partial<Refusal> = {}): Refusal => {
  return { family: 4, table: 'filter', chain: 'podf-x', owner, said: 'no such match', litter: false, ...more }
}

t.test('what the kernel does not take fails the endpoints that it concerns, and no others', async t => {
  const { enforcement, kernel, statusNow } = agent()
  enforcement.take(snapshot(TWO))
  await enforcement.step()
  const states = (unmet: Partial<Unmet>) => {
    Object.assign(kernel.unmet, { refused: [], short: [] }, unmet)
    return statusNow().endpoints.map(({ state, reason }) => (reason === null ? state : `${state}: ${reason}`))
  }
  const failed = 'failed: no such match'
  t.same(states({}), ['enforced', 'enforced'])
  t.same(states({ refused: [refusal('profile other inbound')] }), ['enforced', 'enforced'])
  t.same(states({ refused: [refusal('profile web inbound')] }), [failed, 'enforced'])
  t.same(states({ refused: [refusal('endpoint node1/k8s/a/eth0 from')] }), [failed, 'enforced'])
  t.same(states({ refused: [refusal('dispatch to 10.0.0.0/24')] }), [failed, failed], 'what all share')
  t.same(states({ refused: [refusal('dispatch to', { litter: true })] }), ['enforced', 'enforced'])
  const short = { set: 'podf-4-x', lacking: 3, said: 'full' }
  t.same(states({ short: [{ ...short, owner: 'tag:friends' }] }), [
    'enforced',
    'failed: the set of tag:friends lacks 3 members: full',
  ])
  t.same(states({ short: [{ ...short, owner: 'cut connections' }] }), ['enforced', 'enforced'])
})

t.test('a revision is enforced when all of it is acknowledged, and applied when that was tried', async t => {
  const { enforcement, life, kernel, statusNow } = agent()
  const revisions = () => {
    const { revision, appliedRevision, enforcedRevision } = statusNow()
    return [revision, appliedRevision, enforcedRevision]
  }
  enforcement.take(snapshot(TWO))
  t.same(revisions(), ['1', null, null])
  t.match(statusNow().endpoints[0], { state: 'pending', reason: 'revision 1 is being applied' })
  await enforcement.step()
  t.same(revisions(), ['1', '1', '1'])
  const change = (revision: string): SourceEvent => {
    const changes = [{ key: '/calico/v1/policy/profile/db/tags', value: `["t${revision}"]` }]
    return { kind: 'changes', revision, changes }
  }
  kernel.unmet.refused = [refusal('profile db inbound')]
  enforcement.take(change('2'))
  await enforcement.step()
  t.same(revisions(), ['2', '2', '1'], 'one chain of it was refused')
  t.same(
    statusNow().endpoints.map(({ state }) => state),
    ['enforced', 'failed'],
    'who is not concerned is enforced',
  )
  enforcement.take(change('3'))
  await enforcement.step()
  t.same(revisions(), ['3', '3', '1'], 'what comes later is carried out all the same')
  kernel.unmet.refused = []
  const repaired = { ...NOTHING, repairedChains: [], repairedHooks: [], repairedSets: [] }
  await life.repaired(Promise.resolve(repaired))
  t.same(revisions(), ['3', '3', '3'], 'the refresh timer tried again')
  kernel.unmet.refused = [refusal('dispatch to', { litter: true })]
  enforcement.take(change('4'))
  await enforcement.step()
  t.same(revisions(), ['4', '4', '4'], 'what only stays over means nothing for any packet')
})

t.test("systemd's line counts what is enforced, and hears when a refresh has changed that", async t => {
  const { life, kernel, told, clock } = agent()
  kernel.unmet.refused = [refusal('profile db inbound')]
  life.begin()
  life.take(snapshot(TWO))
  await clock.advance(100)
  t.equal(told.at(-1), 'enforcing 1 of 2 workload endpoints (1 failed: podfence status)')
  const repaired = () =>
    life.repaired(Promise.resolve({ ...NOTHING, repairedChains: [], repairedHooks: [], repairedSets: [] }))
  told.length = 0
  await repaired()
  t.same(told, [])
  kernel.unmet.refused = []
  await repaired()
  await repaired()
  t.same(told, ['enforcing 2 workload endpoints'])
  await life.stop()
})

t.test('an endpoint that only the rendered rules close, or never meet, is not called enforced', async t => {
  const { enforcement, statusNow, counted } = agent({ ...SOURCES, flags: new Map() })
  enforcement.take(
    snapshot({ ...TWO, ...workload('c', '"name":"veth3","profile_ids":["db"],"ipv4_nets":["10.0.0.3"]') }),
  )
  await enforcement.step()
  const third = () => statusNow().endpoints[2]
  t.match(third(), { state: 'failed', reason: /NOT ENFORCED: .*no workload prefix, and no bridge is set/ })
  t.same(counted(), { enforced: 2, closed: 0, failed: 1 })
  const options = renderOptions(new LiveSettings(SOURCES, QUIET).now, TRAITS)
  enforcement.setRenderOptions({ ...options, bridgeFilter: false })
  t.match(third(), { state: 'failed', reason: /NOT ENFORCED between workloads of its bridge.*br_netfilter/ })
  enforcement.setRenderOptions(options)
  t.match(third(), { state: 'enforced', reason: null })
  t.same(counted(), { enforced: 3, closed: 0, failed: 0 })
})

t.test('what is closed since another has its name is told', async t => {
  const { enforcement, statusNow, counted } = agent()
  enforcement.take(snapshot(TWO))
  await enforcement.step()
  const holder = 'endpoint from node1/k8s/b/eth0'
  const refused = 'endpoint from node1/k8s/a/eth0'
  enforcement.collisions = () => [{ name: 'podf-from-x', holder, refused }]
  const { endpoints, policyWarnings } = statusNow()
  t.match(endpoints[0], { state: 'closed', reason: /another chain has the name/ })
  t.match(endpoints[1], { state: 'enforced', reason: null })
  t.same(counted(), { enforced: 1, closed: 1, failed: 0 })
  t.match(policyWarnings, [
    { level: 'red', subject: refused, text: /podf-from-x .* is that of endpoint from/ },
  ])
})

t.test(
  'the gate spares what is closed by rules in the other backend, and never comes after the first step',
  async t => {
    const { enforcement, kernel } = agent(SOURCES, [6])
    await enforcement.gate()
    const [[, closed]] = kernel.calls as [[string, () => Promise<readonly Family[]>]]
    t.same(await closed(), [6])
    enforcement.take(snapshot())
    await enforcement.gate()
    t.equal(kernel.calls.length, 2, 'in sync, and nothing is written yet')
    await enforcement.step()
    await enforcement.gate()
    t.same(
      kernel.calls.map(([verb]) => verb),
      ['hold', 'hold', 'adopt'],
    )
  },
)

t.test('closed doors start nothing any more', async t => {
  const { statusNow: status, clock } = agent()
  const runDir = mkdtempSync(join(tmpdir(), 'podfence-run-'))
  t.teardown(() => rmSync(runDir, { recursive: true }))
  const page = createMetrics()
  page.close()
  const doors = await openDoors(
    { runDir, healthAddress: null, metricsAddress: null } as Settings,
    { status, explain: () => t.fail() as never, render: () => '' },
    new Health(clock),
    page,
    {},
    QUIET,
  )
  await doors.close()
  const timers = () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
  const before = timers()
  doors.statusChanged()
  t.equal(timers(), before)
})

t.test("the store's limit of sets, and br_netfilter that comes and goes, take effect", async t => {
  const { enforcement, life, kernel, clock } = agent()
  life.begin()
  await clock.advance(0)
  life.take(snapshot({ '/calico/v1/config/MaxIpsetSize': '5000' }))
  await clock.advance(0)
  t.same(kernel.calls.find(([verb]) => verb === 'limit')?.[1], 5000)
  const { id, value } = endpoint('bridged', '10.0.0.2')
  enforcement.engine.update({ kind: 'workload-endpoint', id, value: { ...value, interface: 'veth1' } })
  const rules = async (bridgeFilter: boolean) => {
    life.traits = { ...life.traits, bridgeFilter }
    await settle()
    const chains = (kernel.calls.at(-1)![1] as KernelDelta).chains
    return chains.find(({ owner }) => owner === `endpoint ${id} from`)?.rules?.slice(1)
  }
  t.same(await rules(false), ['-j DROP'], 'closed without it')
  t.match((await rules(true))?.[0], /physdev/)
})

t.test('an address that changes hands is closed to all until what was open with it is ended', async t => {
  const { enforcement, kernel } = agent()
  const closes = (said: unknown, address: string) =>
    (said as KernelDelta).chains.some(
      ({ name, rules }) => name === 'podf-forward-from' && rules?.includes(`-s ${address}/32 -j DROP`),
    )
  const told = (address: string) =>
    kernel.calls.splice(0).map(([verb, said]) => {
      if (Array.isArray(said)) return [verb, ...said].join(' ')
      return closes(said, address) ? `${verb}, closed` : verb
    })
  const change = async (address: string, ...changes: { id: string; value: WorkloadEndpoint | null }[]) => {
    for (const each of changes) enforcement.engine.update({ kind: 'workload-endpoint', ...each })
    await enforcement.step()
    return told(address)
  }
  const was = endpoint('was', '10.0.0.1')
  kernel.held = new Map([
    ['podf-from', ['-s 10.0.0.1/32 -g podf-from-was', '-s 10.0.0.9/32 -g podf-from-gone']],
    ['podf-from-was', ['! -i caliother -j DROP']],
  ])
  enforcement.engine.update({ kind: 'workload-endpoint', ...was })
  enforcement.take(snapshot())
  await enforcement.step()
  t.same(
    told('10.0.0.1'),
    ['adopt, closed', 'end 10.0.0.1', 'apply', 'left 10.0.0.9'],
    'what an earlier run has left',
  )
  t.same(await change('10.0.0.2', endpoint('new', '10.0.0.2')), ['apply'], 'nobody had it')
  t.same(await change('10.0.0.1', { id: was.id, value: null }), ['apply', 'left 10.0.0.1'])
  t.same(
    await change('10.0.0.2', endpoint('new', '10.0.0.3'), endpoint('heir', '10.0.0.2')),
    ['apply, closed', 'end 10.0.0.2', 'apply'],
    'from one to another',
  )
  kernel.failing = 1
  enforcement.engine.update({ kind: 'workload-endpoint', ...endpoint('new', '10.0.0.2') })
  enforcement.engine.update({ kind: 'workload-endpoint', ...endpoint('heir', '10.0.0.3') })
  await t.rejects(enforcement.step())
  t.same(told('10.0.0.2'), ['apply, closed'])
  await enforcement.step()
  t.same(
    told('10.0.0.2'),
    ['apply', 'end 10.0.0.2 10.0.0.3', 'apply'],
    'also when the kernel was busy at first',
  )
})
