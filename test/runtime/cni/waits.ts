import t from 'tap'
import { EndpointWaits, type SeenEndpoint } from '../../../src/runtime/cni/endpoint-waits.ts'
import type { CniFailure } from '../../../src/runtime/cni/failure.ts'
import type { EndpointStatus } from '../../../src/runtime/status.ts'
import { FakeClock } from '../support/fake-clock.ts'

const ID = 'node1/k8s/default.web/eth0'
const WANTED = {
  id: ID,
  attachment: { interface: 'veth1', mac: '0a:00:00:00:00:01', addresses: ['10.1.0.5', 'fd01::5'] },
}
const AS_WANTED: SeenEndpoint = {
  interface: 'veth1',
  mac: '0a:00:00:00:00:01',
  addresses4: ['10.1.0.5'],
  addresses6: ['fd01::5'],
  unseen: null,
  ingress: { profiles: ['profile:web:inbound'] },
}

/** An agent that is told what it knows; `outcome` of a wait is '' while it lasts. */
class Told {
  readonly clock = new FakeClock()
  taken = 0
  carried = 0
  trouble: string | null = null
  endpoint: SeenEndpoint | undefined
  state: Pick<EndpointStatus, 'state' | 'reason'> = { state: 'enforced', reason: null }
  readonly waits = new EndpointWaits(
    {
      progress: () => this,
      endpoint: id => (id === ID ? this.endpoint : undefined),
      state: () => this.state,
    },
    this.clock,
  )
  outcome = ''

  ask(within = 5000): this {
    this.waits.enforced(WANTED, within).then(
      () => {
        this.outcome = 'enforced'
      },
      ({ code, message }: CniFailure) => {
        this.outcome = `${code} ${message}`
      },
    )
    return this
  }

  /** The endpoint as it comes with an event. */
  take(endpoint: SeenEndpoint | undefined): void {
    this.taken++
    this.endpoint = endpoint
  }

  /** An apply of everything up to `carried` has ended. */
  async apply(carried = this.taken): Promise<string> {
    this.carried = carried
    this.waits.changed()
    await this.clock.advance(0)
    return this.outcome
  }
}

t.test('answered when the kernel has acknowledged what came with the endpoint', async t => {
  const agent = new Told().ask()
  t.equal(await agent.apply(), '', 'no such endpoint yet')
  agent.take(AS_WANTED)
  t.equal(await agent.apply(0), '', 'an apply that began before')
  agent.taken++
  t.equal(await agent.apply(1), 'enforced', 'what else came meanwhile is not waited for')
})

t.test('answered at once when it is enforced already', async t => {
  const agent = new Told()
  agent.take(AS_WANTED)
  agent.carried = 1
  agent.ask()
  await agent.clock.advance(0)
  t.equal(agent.outcome, 'enforced')
})

t.test('an endpoint with other values, or without its policy, is waited for', async t => {
  const others: readonly (readonly [Partial<SeenEndpoint>, RegExp])[] = [
    [{ interface: 'veth2' }, /another interface/],
    [{ interface: null }, /another interface/],
    [{ mac: null }, /another mac/],
    [{ addresses4: [] }, /another set of addresses/],
    [{ addresses4: ['10.1.0.5', '10.1.0.6'] }, /another set of addresses/],
    [{ addresses6: ['fd01::6'] }, /another set of addresses/],
    [{ ingress: { profiles: ['profile:podfence.pending:inbound'] } }, /policy is not written yet/],
  ]
  for (const [changed, reason] of others) {
    const agent = new Told().ask()
    agent.take({ ...AS_WANTED, ...changed })
    t.equal(await agent.apply(), '', String(reason))
    agent.trouble = 'the store is away'
    agent.waits.changed()
    await agent.clock.advance(5000)
    t.match(agent.outcome, reason)
    t.match(agent.outcome, /^11 .*is not enforced after 5 s.*\(the store is away\)/)

    const cured = new Told().ask()
    cured.take({ ...AS_WANTED, ...changed })
    await cured.apply()
    cured.take(AS_WANTED)
    t.equal(await cured.apply(), 'enforced')
  }
})

t.test('what is closed or failed is waited for, and its reason told', async t => {
  for (const state of ['closed', 'failed'] as const) {
    const agent = new Told().ask()
    agent.state = { state, reason: 'of this' }
    agent.take(AS_WANTED)
    t.equal(await agent.apply(), '')
    const patient = agent.outcome
    await agent.clock.advance(5000)
    t.match(`${patient}${agent.outcome}`, new RegExp(`^11 .*it is ${state}: of this`))
  }
  const agent = new Told().ask()
  agent.take(AS_WANTED)
  agent.trouble = 'another program holds the lock'
  await agent.apply(0)
  await agent.clock.advance(5000)
  t.match(agent.outcome, /holds the lock/)
})

t.test('an endpoint that changes again while it is waited for begins anew', async t => {
  const agent = new Told().ask()
  agent.take(AS_WANTED)
  await agent.apply(0)
  agent.take({ ...AS_WANTED, interface: 'veth2' })
  t.equal(await agent.apply(1), '')
  agent.take(AS_WANTED)
  t.equal(await agent.apply(2), '', 'the second change is acknowledged, not the third')
  t.equal(await agent.apply(3), 'enforced')
})

t.test('what no rule can see is refused at once', async t => {
  const agent = new Told().ask()
  agent.take({ ...AS_WANTED, unseen: { why: 'no bridge is set' } })
  t.match(await agent.apply(0), /^100 .*no bridge is set/)
})

t.test('many wait at the same time, each for its own', async t => {
  const agent = new Told()
  const all = Array.from({ length: 200 }, () => agent.waits.enforced(WANTED, 5000))
  const stranger = agent.waits.enforced({ ...WANTED, id: 'node1/k8s/default.db/eth0' }, 1000)
  agent.take(AS_WANTED)
  await agent.apply()
  await Promise.all(all)
  const told = t.rejects(stranger, { code: 11, message: /no such endpoint/ })
  await agent.clock.advance(1000)
  await told
})
