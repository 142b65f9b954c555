import fc from 'fast-check'
import t from 'tap'
import { cidrContains, formatAddress, parseAddress, parseCidr } from '../../src/model/cidr.ts'
import type { Family } from '../../src/model/values.ts'
import { addressTree, DEEPEST, LEAF_SIZE, type TreeNode } from '../../src/render/address-tree.ts'
import type { ChainChange } from '../../src/render/kernel-delta.ts'
import { type Attachment, attachmentOf } from '../../src/render/options.ts'
import { fromRules, type Owner, sourceRules, toRules } from '../../src/render/owner-rules.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { styleOf } from '../../src/render/style.ts'
import { BRIDGED, delta, endpoint } from './fixtures/worlds.ts'

/** Addresses as nodes have them: thick in one or two small networks, with strays. */
function addressSets(family: Family): fc.Arbitrary<bigint[]> {
  const [base, top] = family === 4 ? [0x0a000000n, 0xffffffffn] : [0xfd00n << 112n, (1n << 128n) - 1n]
  const near = fc.nat({ max: 600 }).map(offset => base + BigInt(offset))
  const other = fc.nat({ max: 600 }).map(offset => base + 0x10000n + BigInt(offset) * 64n)
  const stray = fc.bigInt({ min: 0n, max: top })
  const any = fc.oneof({ weight: 6, arbitrary: near }, { weight: 3, arbitrary: other }, stray)
  return fc.uniqueArray(any, { maxLength: 200, size: 'max' }).map(sorted)
}

function sorted(addresses: readonly bigint[]): bigint[] {
  return [...addresses].sort((a, b) => (a < b ? -1 : 1))
}

function leaves(node: TreeNode, depth = 0): { node: TreeNode; depth: number }[] {
  return node.branches.length === 0
    ? [{ node, depth }]
    : node.branches.flatMap(branch => leaves(branch, depth + 1))
}

for (const family of [4, 6] as const) {
  t.test(`the tree of IPv${family} holds every address once, in the leaf of its net`, async t => {
    let split = 0
    fc.assert(
      fc.property(addressSets(family), addresses => {
        const found = leaves(addressTree(addresses, family))
        if (found.length > 1) split++
        const held = found.flatMap(({ node }) => [...node.addresses])
        if (held.length !== addresses.length || held.some((address, index) => address !== addresses[index]))
          return false
        return found.every(
          ({ node, depth }) =>
            (depth === DEEPEST || node.addresses.length <= LEAF_SIZE) &&
            depth <= DEEPEST &&
            node.addresses.every(value => node.net === null || cidrContains(node.net, { family, value })),
        )
      }),
      { numRuns: 200, seed: 1 },
    )
    t.ok(split > 100, 'most trees had branches')
  })
}

t.test('a leaf of sixteen, and what one more makes of it', async t => {
  const run = (count: number) => Array.from({ length: count }, (_, index) => 0x0a000000n + BigInt(index))
  t.equal(addressTree(run(16), 4).branches.length, 0)
  // 10.0.0.0 to 10.0.0.16 agree in 27 bits; three more make thirtieths: eight nets of four addresses.
  const nets = addressTree(run(17), 4).branches.map(
    ({ net }) => `${formatAddress(net!.base, 4)}/${net!.length}`,
  )
  t.same(nets, ['10.0.0.0/30', '10.0.0.4/30', '10.0.0.8/30', '10.0.0.12/30', '10.0.0.16/30'])
})

t.test('addresses chosen to make a deep tree end in a long leaf', async t => {
  // Each step of three bits keeps one stray outside, and seventeen addresses stay together to the end.
  const deep = Array.from({ length: 17 }, (_, index) => BigInt(index))
  const strays = Array.from({ length: 40 }, (_, index) => 1n << BigInt(3 * index + 7))
  const found = leaves(addressTree(sorted([...deep, ...strays]), 6))
  t.equal(Math.max(...found.map(({ depth }) => depth)), DEEPEST)
  t.ok(found.some(({ node }) => node.addresses.length > LEAF_SIZE))
})

/** The endpoint chain that a packet's address leads to by the text, or null where it falls out. */
function follow(chains: ReadonlyMap<string, readonly string[]>, root: string, address: string) {
  let now = root
  for (let steps = 0; steps < 20; steps++) {
    const target = (chains.get(now) ?? [])
      .map(rule => /^-[sd] (\S+) -g (\S+)$/.exec(rule))
      .find(found => {
        const net = found && parseCidr(found[1]!)
        return net && cidrContains(net, parseAddress(address)!)
      })
    if (target === undefined || target === null) return null
    now = target[2]!
    if (/^podf-(from|to)-/.test(now)) return now
  }
  throw new Error('the tree has a circle')
}

function world(addresses: readonly bigint[], family: Family) {
  const field = family === 4 ? 'addresses4' : 'addresses6'
  return delta({
    endpoints: addresses.map((value, index) =>
      endpoint(`n/o/w${value}/e`, { interface: `cali${index}`, [field]: [formatAddress(value, family)] }),
    ),
  })
}

function filterChains(changes: readonly ChainChange[], family: Family): Map<string, readonly string[]> {
  const chains = changes.filter(chain => chain.family === family && chain.rules !== null)
  return new Map(chains.map(chain => [chain.name, chain.rules!]))
}

t.test('the chains lead every address to its owner, and no other anywhere', async () => {
  for (const family of [4, 6] as const)
    fc.assert(
      fc.property(
        addressSets(family),
        fc.array(fc.nat({ max: 700 }), { maxLength: 20 }),
        (addresses, near) => {
          const { chains } = new Renderer(BRIDGED).render(world(addresses, family))
          const texts = filterChains(chains, family)
          const owner = new Map<string, string>()
          for (const { name, owner: text, family: of } of chains)
            if (of === family && /^endpoint n\/o\/w/.test(text)) owner.set(text, name)
          const base = family === 4 ? 0x0a000000n : 0xfd00n << 112n
          for (const value of [...addresses, ...near.map(offset => base + BigInt(offset))])
            for (const direction of ['from', 'to']) {
              const expected = owner.get(`endpoint n/o/w${value}/e ${direction}`) ?? null
              const found = follow(texts, `podf-${direction}`, formatAddress(value, family))
              if (found !== expected) throw new Error(`${formatAddress(value, family)} led to ${found}`)
            }
        },
      ),
      { numRuns: 40, seed: 3 },
    )
})

t.test('an address more or less changes only chains whose net it is in', async () => {
  fc.assert(
    fc.property(addressSets(4), fc.nat({ max: 700 }), (addresses, offset) => {
      const added = 0x0a000000n + BigInt(offset)
      const others = addresses.filter(value => value !== added)
      const renderer = new Renderer(BRIDGED)
      const before = filterChains(renderer.render(world(others, 4)).chains, 4)
      const change = {
        endpoints: new Map([...world([added], 4).endpoints]),
        lists: new Map(),
        sets: new Map(),
      }
      const changes = renderer.render(change).chains
      for (const { name, rules, owner } of changes) {
        const net = parseCidr(/^dispatch (?:from|to) (\S+)$/.exec(owner)?.[1] ?? '0.0.0.0/0')!
        const stands = before.has(name) && rules !== null
        if (stands && !cidrContains(net, { family: 4, value: added })) throw new Error(`${owner} changed`)
      }
      // The way back is the same: what was added goes, and the text is as before.
      renderer.render(delta({ goneEndpoints: [...change.endpoints.keys()] }))
      const after = filterChains(renderer.full(() => []).chains, 4)
      return JSON.stringify([...after].sort()) === JSON.stringify([...before].sort())
    }),
    { numRuns: 60, seed: 5 },
  )
})

t.test('a pod more in a thick network: its own chains and one leaf of each tree', async t => {
  const renderer = new Renderer(BRIDGED)
  const addresses = Array.from({ length: 100 }, (_, index) => 0x0a000002n + BigInt(index * 2))
  renderer.render(world(addresses, 4))
  const { chains, sets } = renderer.render(world([0x0a000003n], 4))
  t.same(sets, [])
  t.same(
    chains.map(({ owner, family, rank }) => `${family} ${rank} ${owner}`),
    [
      '4 endpoint endpoint n/o/w167772163/e from',
      '4 endpoint endpoint n/o/w167772163/e to',
      '4 dispatch dispatch from 10.0.0.0/27',
      '4 dispatch dispatch to 10.0.0.0/27',
    ],
  )
})

const STYLE = styleOf({ ...BRIDGED, bridges: ['cbr0', 'cbr1'] })

function owner(id: string, name: string | null, from: string | null = `from-${id}`): Owner {
  const attachment: Attachment | null = name === null ? null : attachmentOf(name, BRIDGED)
  const { ingress, egress } = endpoint(id)
  const addresses = { 4: [], 6: [] }
  const placed = {
    id,
    title: id,
    attachment,
    mac: null,
    addresses,
    closed: null,
    unseen: null,
    ingress,
    egress,
  }
  return { endpoint: placed, from, to: from === null ? null : `to-${id}` }
}

t.test('one owner: its chain verifies the interface itself', async t => {
  for (const name of ['cali1', 'veth1', 'cbr0', null]) {
    t.same(fromRules('10.0.0.1', [owner('a', name)], STYLE), ['-s 10.0.0.1/32 -g from-a'])
    t.same(toRules('fd00::1', [owner('a', name)], STYLE), ['-d fd00::1/128 -g to-a'])
  }
  t.same(fromRules('10.0.0.1', [owner('a', 'cali1', null)], STYLE), ['-s 10.0.0.1/32 -j DROP'])
  t.same(toRules('10.0.0.1', [owner('a', 'cali1', null)], STYLE), ['-d 10.0.0.1/32 -j DROP'])
})

t.test('routed owners are told apart by interface, and none of them is nobody', async t => {
  const owners = [owner('b', 'cali2'), owner('a', 'cali1')]
  t.same(fromRules('10.0.0.1', owners, STYLE), [
    '-s 10.0.0.1/32 -i cali1 -g from-a',
    '-s 10.0.0.1/32 -i cali2 -g from-b',
  ])
  t.same(toRules('10.0.0.1', owners, STYLE), [
    '-d 10.0.0.1/32 -o cali1 -g to-a',
    '-d 10.0.0.1/32 -o cali2 -g to-b',
    '-d 10.0.0.1/32 -j DROP',
  ])
})

t.test('owners that nothing tells apart must all allow', async t => {
  const both = [
    '-d 10.0.0.1/32 -j to-a',
    '-d 10.0.0.1/32 -m mark ! --mark 0x1000000/0x1000000 -j DROP',
    '-d 10.0.0.1/32 -j MARK --set-xmark 0x0/0x1000000',
    '-d 10.0.0.1/32 -g to-b',
  ]
  t.same(toRules('10.0.0.1', [owner('a', 'veth1'), owner('b', 'veth2')], STYLE), both)
  t.same(toRules('10.0.0.1', [owner('b', 'cali1'), owner('a', 'cali1')], STYLE), both)
  t.same(fromRules('10.0.0.1', [owner('a', 'cbr0'), owner('b', 'cbr0')], STYLE), [
    '-s 10.0.0.1/32 -j from-a',
    '-s 10.0.0.1/32 -m mark ! --mark 0x1000000/0x1000000 -j DROP',
    '-s 10.0.0.1/32 -j MARK --set-xmark 0x0/0x1000000',
    '-s 10.0.0.1/32 -g from-b',
  ])
})

t.test('owners of every kind', async t => {
  const owners = [owner('a', 'cbr0'), owner('b', 'veth1'), owner('c', 'cali1'), owner('d', 'veth1', null)]
  t.same(fromRules('10.0.0.1', owners, STYLE), [
    '-s 10.0.0.1/32 -i cali1 -g from-c',
    '-s 10.0.0.1/32 -m physdev --physdev-in veth1 -j DROP',
    '-s 10.0.0.1/32 -g from-a',
  ])
  t.same(toRules('10.0.0.1', owners, STYLE), [
    '-d 10.0.0.1/32 -o cali1 -g to-c',
    '-d 10.0.0.1/32 -m mark --mark 0x0/0x4000000 -j DROP',
    '-d 10.0.0.1/32 -j DROP',
  ])
})

t.test('the source check of a bridge', async t => {
  t.same(sourceRules('10.0.0.1', [owner('a', 'veth2'), owner('b', 'veth1'), owner('c', 'cali1')], STYLE), [
    '-s 10.0.0.1/32 -m physdev --physdev-in veth1 -g podf-source-known',
    '-s 10.0.0.1/32 -m physdev --physdev-in veth2 -g podf-source-known',
  ])
  t.same(sourceRules('fd00::1', [owner('a', 'veth2'), owner('b', 'cbr0')], STYLE), [
    '-s fd00::1/128 -m physdev --physdev-in veth2 -g podf-source-known',
    '-s fd00::1/128 -i cbr0 -g podf-source-known',
  ])
  t.same(sourceRules('fd00::1', [owner('a', 'veth2'), owner('b', 'cbr0')], styleOf(BRIDGED)), [
    '-s fd00::1/128 -g podf-source-known',
  ])
})
