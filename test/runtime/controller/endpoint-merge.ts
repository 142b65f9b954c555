import t from 'tap'
import { detachedValue } from '../../../src/cni/etcd-endpoint.ts'
import { isNewlyAttached, mergeEndpoint } from '../../../src/runtime/controller/endpoint-merge.ts'
import { attached, endpointText } from './support/tree.ts'

const POD = 'web/frontend'
const A = '10.1.0.1/32'
const B = '10.1.0.2/32'
const SIX = 'fd00::1/128'

function merged(wanted: string, held: string | null): Record<string, unknown> {
  return JSON.parse(mergeEndpoint(wanted, held)) as Record<string, unknown>
}

t.test('without the plugin the endpoint is as it is wanted', async t => {
  const wanted = endpointText(POD, { nets: [A] })
  t.equal(mergeEndpoint(wanted, null), wanted)
  for (const held of ['', 'no JSON', '[]', 'null', '{}', '{"sandbox":""}', endpointText(POD, { nets: [B] })])
    t.equal(mergeEndpoint(wanted, held), wanted, held)
})

t.test("the plugin's words stand beside the controller's", async t => {
  const wanted = endpointText(POD, { labels: { tier: 'front' } })
  const held = attached(null, [A, SIX])
  t.ok(isNewlyAttached(held))
  const endpoint = merged(wanted, held)
  t.match(endpoint, {
    name: 'cali0123456789a',
    mac: 'ee:ee:ee:ee:ee:ee',
    sandbox: 'sandbox-1',
    network: 'pods',
    ipv4_nets: [A],
    ipv6_nets: [SIX],
    profile_ids: ['web_frontend'],
    labels: { tier: 'front', 'podfence/namespace': 'web' },
  })
  const taken = mergeEndpoint(wanted, held)
  t.notOk(isNewlyAttached(taken))
  t.equal(mergeEndpoint(wanted, taken), taken, 'once is enough')
  const said = endpointText(POD, { nets: [A], labels: { tier: 'front' } })
  const agreed = mergeEndpoint(said, taken)
  t.match(
    JSON.parse(agreed),
    { ...JSON.parse(taken), taken_over: { nets: [A] } },
    'a status that agrees is noted',
  )
  t.equal(mergeEndpoint(said, agreed), agreed, 'once')
  const relabelled = merged(endpointText(POD, { nets: [A], labels: { tier: 'back' } }), taken)
  t.match(relabelled, { name: 'cali0123456789a', labels: { tier: 'back' } })
})

t.test('a status that knows fewer addresses agrees', async t => {
  const wanted = endpointText(POD, { nets: [A] })
  t.match(merged(wanted, attached(null, [A, SIX])), { ipv4_nets: [A], ipv6_nets: [SIX] })
})

t.test('of two that differ the one who spoke last is right', async t => {
  const first = mergeEndpoint(endpointText(POD, { nets: [A] }), attached(null, [A]))
  await t.test('a new sandbox, while the status still names the old address', async t => {
    const held = attached(first, [B], 'sandbox-2')
    t.ok(isNewlyAttached(held))
    const taken = mergeEndpoint(endpointText(POD, { nets: [A] }), held)
    t.match(JSON.parse(taken), { name: 'cali0123456789a', ipv4_nets: [B], sandbox: 'sandbox-2' })
    t.equal(mergeEndpoint(endpointText(POD, { nets: [A] }), taken), taken)
    t.match(merged(endpointText(POD, { nets: [B] }), taken), {
      ...JSON.parse(taken),
      taken_over: { nets: [B] },
    })
  })
  await t.test('a new address that only the status knows', async t => {
    const wanted = endpointText(POD, { nets: [B] })
    t.equal(mergeEndpoint(wanted, first), wanted)
  })
})

t.test('a sandbox that has lost its network keeps no address', async t => {
  const wanted = endpointText(POD, { nets: [A] })
  const held = JSON.parse(mergeEndpoint(wanted, attached(null, [A]))) as Record<string, unknown>
  const lost = JSON.stringify({ ...held, name: '', ipv4_nets: [], ipv6_nets: [] })
  t.match(merged(wanted, lost), { name: '', ipv4_nets: [], ipv6_nets: [], sandbox: 'sandbox-1' })
})

t.test(
  'nor when the status names its address after it was attached, or after it has lost its network',
  async t => {
    const [silent, said] = [endpointText(POD), endpointText(POD, { nets: [A] })]
    const taken = mergeEndpoint(silent, attached(null, [A]))
    const empty = { name: '', ipv4_nets: [], ipv6_nets: [], sandbox: 'sandbox-1' }
    t.match(merged(said, detachedValue(mergeEndpoint(said, taken), 'sandbox-1')!), empty)
    const late = mergeEndpoint(said, detachedValue(taken, 'sandbox-1')!)
    t.match(JSON.parse(late), empty)
    t.equal(mergeEndpoint(said, late), late)
    const moved = endpointText(POD, { nets: [B] })
    t.equal(mergeEndpoint(moved, late), moved, 'another address is the status to say')
    t.notOk('lost' in JSON.parse(attached(late, [A], 'sandbox-2')))
  },
)

t.test("of two pods of one name neither has the other one's policy", async t => {
  const uid = (text: string, uid: string) => JSON.stringify({ ...JSON.parse(text), uid })
  const old = uid(endpointText(POD, { nets: [A] }), 'u1')
  const held = uid(attached(null, [B]), 'u2')
  const closed = mergeEndpoint(old, held)
  t.match(JSON.parse(closed), {
    ipv4_nets: [B],
    sandbox: 'sandbox-1',
    profile_ids: ['podfence.pending'],
    uid: 'u2',
  })
  t.notOk('labels' in JSON.parse(closed))
  t.equal(mergeEndpoint(old, closed), closed)
  const known = merged(uid(endpointText(POD, { nets: [B] }), 'u2'), closed)
  t.match(
    known,
    { ipv4_nets: [B], sandbox: 'sandbox-1', profile_ids: ['web_frontend'] },
    'when its own is known',
  )
  const next = uid(endpointText(POD), 'u3')
  t.equal(mergeEndpoint(next, uid(lostBy(held), 'u2')), next, 'what is lost says nothing')
})

function lostBy(held: string): string {
  return JSON.stringify({ ...JSON.parse(held), name: '', ipv4_nets: [], ipv6_nets: [] })
}
