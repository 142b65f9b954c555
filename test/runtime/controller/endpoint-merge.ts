import t from 'tap'
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
  t.equal(mergeEndpoint(said, taken), taken, 'a status that agrees changes nothing')
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
    t.equal(mergeEndpoint(endpointText(POD, { nets: [B] }), taken), taken)
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
