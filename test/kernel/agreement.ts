import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { NFT_DEPTH } from '../../src/kernel/fake/commit-check.ts'
import { PrintedKernel } from '../../src/kernel/fake/printed-kernel.ts'
import { formatAddress } from '../../src/model/cidr.ts'
import { FAMILIES, type Family, type ModelChange } from '../../src/model/values.ts'
import { marksOf } from '../../src/render/mark.ts'
import type { RenderOptions } from '../../src/render/options.ts'
import { endpointValue, HERE, policy, rules, tier } from '../policy/support/world.ts'
import { heldBy } from './support/held-by.ts'
import { isGate, type Question } from './support/question.ts'
import { anyChange, crowd, renderOptions, settledNode } from './support/random-node.ts'
import { SimulatedNode } from './support/simulated-node.ts'
import { crooked, honest } from './support/traffic.ts'
import { WrittenKernel } from './support/written-kernel.ts'

/**
 * The whole pure core against itself: on random nodes the policy engine's verdict and the packet walked through
 * the rendered text agree. PODFENCE_AGREEMENT_RUNS multiplies the number of nodes.
 */
const RUNS = Number(process.env.PODFENCE_AGREEMENT_RUNS ?? 1)

/** A node and its kernel, which was given the text as it is printed. */
function printedNode(options: RenderOptions, changes: readonly ModelChange[]) {
  const kernel = new PrintedKernel()
  const node = new SimulatedNode(options, kernel.fake)
  kernel.apply(node.gate())
  kernel.apply(node.render(changes))
  node.route()
  return { node, kernel }
}

type Endpoints = ReturnType<SimulatedNode['engine']['endpoints']>

/** Of a crowd's endpoints one is asked about. */
function asked(node: SimulatedNode): Endpoints {
  return node.engine.endpoints().filter(({ id }) => !/\/crowd(?!7\/)/.test(id))
}

/** Every so many-th question, so that many nodes are asked a part each and not few nodes everything. */
function some(questions: readonly Question[], share: number, from: number): Question[] {
  return questions.filter((_, at) => at % share === from % share)
}

const changes = fc.array(anyChange, { maxLength: 12, size: 'max' })
const from = fc.nat({ max: 999 })

t.test('the engine and the packet agree', async t => {
  const seen = { passed: 0, dropped: 0 }
  fc.assert(
    fc.property(
      renderOptions,
      settledNode,
      changes,
      fc.boolean(),
      from,
      (options, start, more, crowded, from) => {
        const { node } = printedNode(options, [...start, ...(crowded ? crowd : []), ...more])
        const endpoints = asked(node)
        const questions = [
          ...some(honest(endpoints, options, true), 5, from),
          ...some(crooked(endpoints, options), 11, from),
        ]
        for (const question of questions) seen[node.agreed(question) ? 'passed' : 'dropped']++
      },
    ),
    { numRuns: 24 * RUNS },
  )
  t.ok(seen.passed > 4000 * RUNS && seen.dropped > 4000 * RUNS, `both happen often: ${JSON.stringify(seen)}`)
})

const sequence = fc.array(fc.array(anyChange, { minLength: 1, maxLength: 12, size: 'max' }), {
  minLength: 1,
  maxLength: 3,
  size: 'max',
})

/** Takes one step, and looks at each packet that was denied after each commit that may concern it. */
async function watch(
  kernel: WrittenKernel,
  node: SimulatedNode,
  endpoints: Endpoints,
  write: () => Promise<void>,
) {
  node.route(endpoints)
  const denied = honest(endpoints, node.options, false).filter(question => !node.passes(question))
  const opened = new Map<Question, string>()
  let looks = 0
  kernel.committed = ({ family, member, text }) => {
    for (const question of denied) {
      if (question.family !== family || opened.has(question)) continue
      if (member !== null && question.src !== member && question.dst !== member) continue
      looks++
      if (node.passes(question)) opened.set(question, `${text}\n${node.describe(question)}`)
    }
  }
  await write()
  for (const [question, when] of opened)
    if (!node.passes(question)) assert.fail(`denied before and after, and passes after ${when}`)
  kernel.committed = () => {}
  node.route()
  return looks
}

t.test('step by step: never more than before or after, and in the end what a fresh start gives', async t => {
  let looks = 0
  await fc.assert(
    fc.asyncProperty(
      renderOptions,
      settledNode,
      sequence,
      fc.boolean(),
      fc.constantFrom([], [], crowd),
      async (options, settled, more, adopts, others) => {
        const start = [...settled, ...others]
        const kernel = new WrittenKernel()
        const node = new SimulatedNode(options, kernel.fake)
        await kernel.apply(node.gate())
        await kernel.apply(node.render(start))
        const all = [...start]
        for (const step of more) {
          const before = asked(node)
          const delta = node.render(step)
          looks += await watch(kernel, node, [...before, ...asked(node)], () =>
            adopts ? kernel.adopt(node.full()) : kernel.apply(delta),
          )
          all.push(...step)
          assert.deepStrictEqual(heldBy(kernel.fake), heldBy(printedNode(options, all).kernel.fake))
        }
      },
    ),
    { numRuns: 24 * RUNS },
  )
  t.ok(looks > 20000 * RUNS, `${looks}`)
})

t.test('before the first delta nothing comes from a workload or reaches one', async t => {
  const seen = { passed: 0, dropped: 0 }
  fc.assert(
    fc.property(renderOptions, settledNode, from, (options, start, from) => {
      const kernel = new PrintedKernel()
      const node = new SimulatedNode(options, kernel.fake)
      kernel.apply(node.gate())
      node.render(start)
      node.route()
      const all = [...honest(asked(node), options, false), ...crooked(asked(node), options)]
      for (const question of some(all, 11, from)) {
        const passes = passesGate(question, options)
        seen[passes ? 'passed' : 'dropped']++
        for (const state of ['NEW', 'ESTABLISHED', 'RELATED'] as const)
          if (node.passes(question, state, marksOf(options.markMask).all) !== passes)
            assert.fail(`${state} ${node.describe(question)}`)
      }
    }),
    { numRuns: 6 * RUNS },
  )
  t.ok(Math.min(seen.passed, seen.dropped) > 100 * RUNS, JSON.stringify(seen))
})

function passesGate({ path, from, to }: Question, options: RenderOptions): boolean {
  if (path === 'from-node') return options.nodeToWorkload === 'allow' || !isGate(to.device, options)
  return !isGate(from.device, options) && (path === 'to-node' || !isGate(to.device, options))
}

t.test('an endpoint chain or a dispatch chain that somebody emptied passes nothing', async t => {
  let emptied = 0
  let passed = 0
  fc.assert(
    fc.property(renderOptions, settledNode, fc.boolean(), from, (options, start, crowded, from) => {
      const { node, kernel } = printedNode(options, [...start, ...(crowded ? crowd : [])])
      const chains = new Map<string, Question[]>()
      const questions = [
        ...honest(asked(node), options, false),
        ...some(crooked(asked(node), options), 5, from),
      ]
      for (const question of some(questions, 3, from)) {
        const walk = node.walk(question)
        for (const chain of new Set(
          walk.trail.map(step => /^(?:jump|goto) (.*)/.exec(step.effect)?.[1] ?? ''),
        ))
          if (/^podf-(?:(?:from|to|source)$|(?:from|to|[fts])-)/.test(chain)) {
            const key = `${question.family} ${chain}`
            chains.set(key, [...(chains.get(key) ?? []), question])
          }
      }
      const full = node.full().chains
      for (const [key, through] of chains) {
        const chain = full.find(({ family, name }) => `${family} ${name}` === key)!
        const before = through.map(question => node.passes(question))
        kernel.fake.restore(chain.family, `*${chain.table}\n-F ${chain.name}\nCOMMIT\n`)
        emptied++
        for (const [at, question] of through.entries()) {
          if (before[at]) passed++
          if (node.passes(question)) assert.fail(`without ${chain.owner}: ${node.describe(question)}`)
        }
        kernel.apply({ sets: [], chains: [chain] })
      }
      for (const [at, question] of some(questions, 3, from).entries()) if (at % 7 === 0) node.agreed(question)
    }),
    { numRuns: 6 * RUNS },
  )
  t.ok(emptied > 100 * RUNS && passed > 500 * RUNS, `${emptied} ${passed}`)
})

/** Addresses that make a tree deep: strays at every distance beside what stays together, powers of two, any. */
function harmful(family: Family): fc.Arbitrary<string[]> {
  const bits = family === 4 ? 32 : 128
  const place = fc.nat({ max: bits - 1 })
  const near = fc.nat({ max: 40 }).map(BigInt)
  const power = fc.tuple(place, near).map(([place, more]) => (1n << BigInt(place)) + more)
  const sum = fc
    .uniqueArray(place, { maxLength: 6 })
    .map(all => all.reduce((sum, at) => sum | (1n << BigInt(at)), 0n))
  const any = fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n })
  const address = fc.oneof({ weight: 4, arbitrary: power }, { weight: 2, arbitrary: near }, sum, any)
  const steps = fc
    .constantFrom(1, 2, 3, 4)
    .map(step => Array.from({ length: Math.floor(bits / step) }, (_, at) => 1n << BigInt(at * step)))
  return fc
    .tuple(
      fc.uniqueArray(address, { minLength: 17, maxLength: 200, size: 'max' }),
      fc.option(steps, { nil: [] }),
    )
    .map(([some, more]) =>
      [...new Set([...some, ...more])]
        .filter(value => value > 0n && value < 1n << BigInt(bits))
        .map(value => formatAddress(value, family)),
    )
}

t.test('no addresses make the way of a packet deeper than nft takes it', async t => {
  let deepest = 0
  fc.assert(
    fc.property(
      fc.constantFrom<Family>(4, 6).chain(harmful),
      fc.constantFrom('cali', 'veth'),
      (addresses, prefix) => {
        const words = { profiles: ['p'], labels: { a: 'x' } }
        const world: ModelChange[] = [
          rules('p', [{}], [{}]),
          tier('front', 1),
          policy('front/one', 'all()', [{ action: 'next-tier', src_selector: "a == 'x'" }]),
          ...addresses.map((address, at): ModelChange => {
            const id = `${HERE}/k/w${at}/e`
            const value = {
              ...endpointValue(id, { ...words, addresses: [address] }),
              interface: `${prefix}${at}`,
            }
            return { kind: 'workload-endpoint', id, value }
          }),
        ]
        const { kernel } = printedNode({ ...DEEP, bridges: prefix === 'veth' ? ['cbr0'] : [] }, world)
        for (const family of FAMILIES) deepest = Math.max(deepest, depthOf(kernel.fake.save(family)))
        return deepest <= NFT_DEPTH
      },
    ),
    { numRuns: 40 * RUNS },
  )
  t.ok(deepest > 10, `the trees were as deep as they get: ${deepest}`)
})

const DEEP: RenderOptions = {
  interfacePrefixes: ['cali'],
  bridges: [],
  markMask: 0xff000000,
  onAllow: 'accept',
  nodeToWorkload: 'policy',
  workloadToNode: 'allow',
  dropLog: { enabled: true, group: 0, perSecond: 10 },
}

/** How many chains deep the text leads below a chain of the kernel's own. */
function depthOf(saved: string): number {
  let deepest = 0
  for (const table of saved.split('COMMIT')) {
    const next = new Map<string, Set<string>>()
    for (const [, chain, target] of table.matchAll(/^-A (\S+) .*?-[jg] (podf-\S+)/gm))
      next.set(chain!, (next.get(chain!) ?? new Set()).add(target!))
    const known = new Map<string, number>()
    const depth = (chain: string): number => {
      let found = known.get(chain)
      if (found === undefined) {
        found = 0
        for (const below of next.get(chain) ?? []) found = Math.max(found, 1 + depth(below))
        known.set(chain, found)
      }
      return found
    }
    for (const hook of ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT']) deepest = Math.max(deepest, depth(hook))
  }
  return deepest
}
