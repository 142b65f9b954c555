import t, { type Test } from 'tap'
import type { KernelDriver } from '../../../src/kernel/driver.ts'
import type { Applied, Refusal } from '../../../src/kernel/report.ts'
import { endpointOwner } from '../../../src/render/endpoint-chain.ts'
import type { Attachments } from '../../../src/runtime/cni/attachment.ts'
import { openDesk } from '../../../src/runtime/cni/open-desk.ts'
import type { PodRequest } from '../../../src/runtime/cni/request.ts'
import { Enforcement } from '../../../src/runtime/enforcement.ts'
import { LiveSettings } from '../../../src/runtime/live-settings.ts'
import { createLog } from '../../../src/runtime/log.ts'
import { createMetrics } from '../../../src/runtime/metrics.ts'
import { renderOptions } from '../../../src/runtime/render-options.ts'
import type { SourceEvent } from '../../../src/source/event.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const QUIET = createLog({ level: 'silent', format: 'json', journal: false }, { write: () => {} })
const NOTHING: Applied = { transactions: 0, chains: 0, rules: 0, setLines: 0, refused: [], short: [] }
const PROFILE = '/calico/v1/policy/profile/web/rules'
const KEY = '/calico/v1/host/node1/workload/k8s/default.web/endpoint/eth0'

/** An agent in direct mode: its source knows pods, and how they are attached from the desk alone. */
function agent(t: Test, runDir: string) {
  const live = new LiveSettings(
    {
      flags: new Map([
        ['source', 'kubernetes'],
        ['runDir', runDir],
        // An interface of this prefix is on every machine, so it counts as there.
        ['interfacePrefixes', 'lo'],
      ]),
      env: {},
      file: null,
      store: new Map(),
      host: { hostname: 'node1' },
    },
    QUIET,
  )
  const clock = new FakeClock()
  const page = createMetrics()
  t.teardown(() => page.close())
  let refused: readonly Refusal[] = []
  const acknowledge = async () => ({ ...NOTHING, refused })
  const kernel: Partial<Record<keyof KernelDriver, unknown>> = {
    adopt: acknowledge,
    apply: acknowledge,
    status: () => ({ refused, short: [], setTrouble: null }),
    heldChains: () => new Map(),
  }
  const driver = kernel as unknown as KernelDriver
  const enforcement = new Enforcement({
    host: 'node1',
    render: renderOptions(live.now, { bridgeFilter: true, protocolNames: new Map() }),
    driver,
    clock,
    log: QUIET,
    metrics: page.metrics,
    former: null,
    standingElsewhere: async () => [],
    enforced: () => {},
  })
  const attached = new Map<string, unknown>()
  const pods = new Set<string>()
  let listed = false
  // All under one revision, as a source does whose store has not moved.
  const emit = (changes: Extract<SourceEvent, { kind: 'changes' }>['changes']) =>
    listed && enforcement.take({ kind: 'changes', revision: '7', changes })
  const value = (pod: string) => {
    const { interface: name, mac, addresses } = attached.get(pod) as PodRequest
    const nets = (six: boolean) => addresses.filter(address => address.includes(':') === six)
    return JSON.stringify({
      state: 'active',
      name,
      mac,
      ipv4_nets: nets(false),
      ipv6_nets: nets(true),
      profile_ids: ['web'],
    })
  }
  const source: Attachments = {
    attach(pod, attachment) {
      attached.set(pod, attachment)
      if (pods.has(pod)) emit([{ key: KEY, value: value(pod) }])
    },
  }
  const notes = { applyFailure: null, waitingFor: null }
  const cni = openDesk({ live, attachments: source, enforcement, driver, notes, clock, log: QUIET })
  t.teardown(() => cni.stop())
  return {
    ...cni,
    clock,
    attached,
    /** The pod default/web comes with a list, or after it. */
    know() {
      pods.add('default/web')
      emit([{ key: KEY, value: value('default/web') }])
    },
    list() {
      listed = true
      const rules = JSON.stringify({ inbound_rules: [{ action: 'allow' }], outbound_rules: [] })
      const entries = new Map([[PROFILE, rules]])
      for (const pod of pods) entries.set(KEY, value(pod))
      enforcement.take({ kind: 'snapshot', revision: '7', entries })
    },
    refuse(list: readonly Refusal[]) {
      refused = list
    },
    async step() {
      await enforcement.step()
      cni.changed()
      await settle()
    },
  }
}

const WEB: PodRequest = {
  pod: 'default/web',
  sandbox: 's1',
  network: 'pods',
  interface: 'lo',
  mac: '0a:00:00:00:00:01',
  addresses: ['10.1.0.5', 'fd01::5'],
  uid: null,
  annotations: false,
  within: 5000,
}

/** What becomes of a request: '' while it lasts. */
function asked(work: Promise<void>) {
  const outcome = { now: '' }
  work.then(
    () => {
      outcome.now = 'enforced'
    },
    (error: Error) => {
      outcome.now = error.message
    },
  )
  return outcome
}

t.test('ADD is answered by the step that carries the attachment, whenever the pod becomes known', async t => {
  const { desk, list, know, step } = agent(t, t.testdir({}))
  const early = asked(desk.add(WEB))
  await step()
  t.equal(early.now, '', 'before the first list')
  list()
  await step()
  t.equal(early.now, '', 'the pod is not known')
  know()
  await settle()
  t.equal(early.now, '', 'known, and not written yet')
  await step()
  t.equal(early.now, 'enforced')

  const moved = asked(desk.add({ ...WEB, sandbox: 's2', addresses: ['10.1.0.6'] }))
  await settle()
  t.equal(moved.now, '', 'the same revision says nothing')
  await step()
  t.equal(moved.now, 'enforced')
})

t.test('what the kernel does not take of the endpoint keeps ADD waiting, and is told', async t => {
  const { desk, list, know, step, refuse, clock } = agent(t, t.testdir({}))
  list()
  const adding = asked(desk.add(WEB))
  know()
  const place = { family: 4, table: 'filter', chain: 'podf-to-x' } as const
  refuse([
    { ...place, owner: endpointOwner('node1/k8s/default.web/eth0', 'to'), said: 'no room', litter: false },
  ])
  await step()
  t.equal(adding.now, '')
  await clock.advance(5000)
  t.match(adding.now, /is not enforced after 5 s: it is failed: /)
})

t.test('a restarted agent knows its pods, and what became of them', async t => {
  const runDir = t.testdir({})
  const first = agent(t, runDir)
  first.list()
  const adding = asked(first.desk.add(WEB))
  first.know()
  await first.step()
  t.equal(adding.now, 'enforced')

  const second = agent(t, runDir)
  second.know()
  second.list()
  await second.step()
  const checking = asked(second.desk.check(WEB))
  await settle()
  t.equal(checking.now, 'enforced', 'CHECK has nothing to wait for')
  await t.rejects(second.desk.check({ ...WEB, sandbox: 's0' }), { code: 3 })
  second.desk.del({ sandbox: 's1' })
  await second.step()
  await t.rejects(second.desk.check(WEB), { code: 3 })
  t.match(second.attached.get('default/web'), { addresses: [], interface: '' })
})

t.test('a pod that is gone with its interface is forgotten after a while', async t => {
  const { desk, list, step, attached, clock } = agent(t, t.testdir({}))
  list()
  await step()
  asked(desk.add(WEB))
  await clock.advance(60_000)
  t.match(attached.get('default/web'), { interface: 'lo' }, 'its interface is there')
  desk.del({ sandbox: 's1' })
  await clock.advance(60_000)
  t.equal(attached.get('default/web'), null)
})
