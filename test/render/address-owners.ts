import t from 'tap'
import { FAMILIES } from '../../src/model/values.ts'
import type { LocalEndpoint, PolicyDelta } from '../../src/policy/outcome.ts'
import { addressOwners, movedAddresses } from '../../src/render/address-owners.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { BRIDGED, delta, endpoint, profiles } from './fixtures/worlds.ts'

/** What a later agent reads back from the rules that these endpoints get. */
function ownersOf(...endpoints: LocalEndpoint[]): Map<string, string> {
  const renderer = new Renderer(BRIDGED)
  const world: PolicyDelta = { ...delta(), endpoints: new Map(endpoints.map(each => [each.id, each])) }
  const { chains } = renderer.render(world)
  return new Map(
    FAMILIES.flatMap(family => {
      const own = chains.filter(chain => chain.family === family && chain.table === 'filter')
      return [...addressOwners(new Map(own.map(({ name, rules }) => [name, rules ?? []])))]
    }),
  )
}

const web = endpoint('web', { interface: 'caliweb', addresses4: ['10.0.0.1'], addresses6: ['fd00::1'] })

t.test('every address of every endpoint is found', async t => {
  const many = Array.from({ length: 60 }, (_, index) =>
    endpoint(`pod${index}`, {
      interface: index % 2 ? `veth${index}` : `cali${index}`,
      addresses4: [`10.0.${index}.1`],
      addresses6: [`fd00::${index + 1}:1`],
    }),
  )
  const found = [...ownersOf(...many).keys()].sort()
  t.same(found, many.flatMap(({ addresses4, addresses6 }) => [...addresses4, ...addresses6]).sort())
})

t.test('what moves an address, and what does not', async t => {
  const before = ownersOf(web)
  const moved = (...endpoints: LocalEndpoint[]) => [...movedAddresses(before, ownersOf(...endpoints))].sort()
  const both = ['10.0.0.1', 'fd00::1']
  t.same(moved(web), [])
  t.same(
    moved({ ...web, ingress: profiles('inbound', 'p'), egress: profiles('outbound', 'p') }),
    [],
    'other policy',
  )
  t.same(moved(), both, 'the endpoint is gone')
  t.same(moved({ ...web, id: 'other' }), both, 'another endpoint has it')
  t.same(moved({ ...web, interface: 'caliother' }), both, 'another interface')
  t.same(moved({ ...web, mac: '02:00:00:00:00:99' }), both, 'another hardware address')
  t.same(moved({ ...web, addresses6: ['fd00::2'] }), ['fd00::1'], 'and a new one that nobody had')
  const closed = { ...web, closed: 'it cannot be read' }
  t.same(moved(closed), [], 'closed')
  t.same([...movedAddresses(ownersOf(closed), ownersOf(web))], [], 'and open again')
  const twin = { ...web, id: 'twin', interface: 'calitwin', addresses6: [] }
  t.same(moved(web, twin), ['10.0.0.1'], 'a second owner')
})

t.test('where nobody owned anything, nothing has moved', async t => {
  t.same([...movedAddresses(new Map(), ownersOf(web))], [])
})
