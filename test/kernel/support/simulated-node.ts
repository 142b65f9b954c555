import type { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import type { CtState } from '../../../src/kernel/fake/packet.ts'
import type { Walk } from '../../../src/kernel/fake/walk.ts'
import type { ModelChange } from '../../../src/model/values.ts'
import { memberOf } from '../../../src/policy/address-set.ts'
import { PolicyEngine } from '../../../src/policy/engine.ts'
import type { LocalEndpoint } from '../../../src/policy/outcome.ts'
import type { KernelDelta } from '../../../src/render/kernel-delta.ts'
import { marksOf } from '../../../src/render/mark.ts'
import type { RenderOptions } from '../../../src/render/options.ts'
import { Renderer } from '../../../src/render/renderer.ts'
import { HERE } from '../../policy/support/world.ts'
import { isLinkTalk, isSpoofed, kernelPacket, type Question, shouldPass } from './question.ts'
import { NODE_ADDRESSES, routesOf } from './traffic.ts'

/** What others have marked stays. */
const FOREIGN = 0x00ffff00

/** The pure parts of a node from the model's changes to kernel text, and a kernel that was given that text. */
export class SimulatedNode {
  readonly engine = new PolicyEngine(HERE)
  readonly options: RenderOptions
  readonly #renderer: Renderer
  readonly #fake: FakeKernel

  constructor(options: RenderOptions, fake: FakeKernel) {
    this.options = options
    this.#renderer = new Renderer(options)
    this.#fake = fake
    fake.setLocalAddresses(NODE_ADDRESSES)
  }

  gate(): KernelDelta {
    return this.#renderer.gate()
  }

  render(changes: readonly ModelChange[]): KernelDelta {
    for (const change of changes) this.engine.update(change)
    return this.#renderer.render(this.engine.take(), this.#membersOf)
  }

  full(): KernelDelta {
    return this.#renderer.full(this.#membersOf)
  }

  readonly #membersOf = (id: string) => [...(this.engine.setMembers(id)?.addresses() ?? [])].map(memberOf)

  /** The node's routes lead to these endpoints, and outside by default. */
  route(endpoints: readonly LocalEndpoint[] = this.engine.endpoints()): void {
    const routes: Record<string, string[]> = { '0.0.0.0/0': ['eth0'], '::/0': ['eth0'] }
    for (const [address, device] of routesOf(endpoints, this.options)) {
      const net = `${address}/${address.includes(':') ? 128 : 32}`
      routes[net] = [...(routes[net] ?? []), device]
    }
    this.#fake.setRoutes(routes)
  }

  walk(question: Question, ctstate: CtState = 'NEW', mark = 0, telling = true): Walk {
    return this.#fake.walk(kernelPacket(question, ctstate, mark), telling)
  }

  passes(question: Question, ctstate: CtState = 'NEW', mark = 0): boolean {
    return this.walk(question, ctstate, mark, false).verdict === 'ACCEPT'
  }

  /** Throws where engine and kernel disagree; returns what both say. */
  agreed(question: Question): boolean {
    const expected = shouldPass(question, this.engine, this.options)
    const { markMask } = this.options
    const foreign = (FOREIGN & ~markMask) >>> 0
    const { verdict, mark } = this.walk(question, 'NEW', foreign, false)
    const passes = verdict === 'ACCEPT'
    if (passes !== expected) this.#fail(expected ? 'should pass' : 'should be dropped', question)
    if (passes && mark !== foreign) this.#fail(`leaves with the mark ${mark}`, question)
    if (this.passes(question, 'NEW', marksOf(markMask).all) !== passes)
      this.#fail('a mark it brings decides', question)
    const spoofed = isSpoofed(question, this.engine, this.options) && !isLinkTalk(question)
    if (spoofed && this.passes(question, 'ESTABLISHED')) this.#fail('passes as established', question)
    return passes
  }

  #fail(what: string, question: Question): never {
    throw new Error(`${what}: ${this.describe(question)}`)
  }

  describe(question: Question, { trail } = this.walk(question)): string {
    const owners = (address: string) =>
      this.engine
        .localByAddress(address)
        .map(({ id, interface: name, closed }) => `${id} at ${name} ${closed ?? ''}`)
    return [
      JSON.stringify(question),
      `  source: ${owners(question.src).join(', ') || 'nobody'}`,
      `  destination: ${owners(question.dst).join(', ') || 'nobody'}`,
      ...trail.map(({ table, chain, rule, effect }) => `  ${table} ${chain} ${rule} => ${effect}`),
    ].join('\n')
  }
}
