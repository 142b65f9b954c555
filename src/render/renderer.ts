import { FAMILIES } from '../model/values.ts'
import type { LocalEndpoint, PolicyDelta, RuleList, RuleListId, SetId } from '../policy/outcome.ts'
import { ChainBook } from './chain-book.ts'
import { DispatchBook } from './dispatch-book.ts'
import { type EndpointChainContext, endpointIdentity, fromChain, toChain } from './endpoint-chain.ts'
import { gateDelta } from './gate.ts'
import type { KernelDelta, SetChange } from './kernel-delta.ts'
import { base32Hash, chainName, type Hash, NameBook, type NameCollision } from './name.ts'
import type { RenderOptions } from './options.ts'
import { placeEndpoint } from './placed-endpoint.ts'
import { listChain, type RuleListContext } from './rule-list.ts'
import { type MembersOf, SetBook } from './set-book.ts'
import { cutSet } from './sets.ts'
import { sourceChains } from './source-chains.ts'
import { type Style, styleOf } from './style.ts'
import { type Foremost, topChains } from './top-chains.ts'

/**
 * Turns what the policy engine says into netfilter text. It keeps what it last rendered, so that a change
 * costs what it changes: a policy edit its own chains, a local endpoint its own chains and one leaf of each
 * tree, a member of a set that member. The first delta also brings everything that does not depend on
 * policy. Pure: no I/O, no clock; the text depends on the state alone, never on the order of the deltas.
 */
export class Renderer {
  readonly #style: Style
  readonly #hash: Hash
  readonly #names = new NameBook()
  readonly #book = new ChainBook()
  readonly #dispatch: DispatchBook
  readonly #sets: SetBook
  readonly #context: RuleListContext & EndpointChainContext
  #begun = false
  #foremost: Foremost = { cutFirst: false, held: new Set() }

  /**
   * `hash` is for tests of name collisions.
   * @throws PodfenceError CONFIG_INVALID when the mark mask has fewer than three bits.
   */
  constructor(options: RenderOptions, hash: Hash = base32Hash) {
    const style = styleOf(options)
    this.#style = style
    this.#hash = hash
    this.#dispatch = new DispatchBook(style)
    this.#sets = new SetBook(this.#names, hash)
    this.#context = {
      style,
      protocolNames: options.protocolNames,
      setName: (id, family, role) => this.#sets.nameOf(id, family, role),
      listName: id => this.#names.nameOf(listIdentity(id)),
    }
  }

  /**
   * What the kernel must change when policy has changed so. A list must come in the same delta as, or
   * before, the first endpoint that names it, likewise a set before its list; one that did not come is closed.
   * `membersOf` is asked for a set of an earlier delta that rules now use in another role.
   */
  render(delta: PolicyDelta, membersOf: MembersOf = unknownMembers): KernelDelta {
    const sets = this.#begun ? [] : this.#begin()
    this.#forget(delta)
    sets.push(...this.#sets.change(delta, membersOf))
    for (const [id, list] of delta.lists) if (list !== null) this.#renderList(id, list)
    for (const [id, endpoint] of delta.endpoints) if (endpoint !== null) this.#renderEndpoint(id, endpoint)
    for (const [family, chains] of this.#dispatch.take()) this.#book.replace(`dispatch ${family}`, chains)
    return { sets, chains: this.#book.take() }
  }

  /** Everything, as if the kernel held nothing. `membersOf` gives a set's members: they are not kept here. */
  full(membersOf: MembersOf): KernelDelta {
    if (!this.#begun) this.render({ endpoints: new Map(), lists: new Map(), sets: new Map() })
    const cutSets = FAMILIES.map(family => cutSet(family, this.#style.options))
    return { sets: [...cutSets, ...this.#sets.all(membersOf)], chains: this.#book.all() }
  }

  /**
   * Whether packets meet the cut sets before established connections pass. Off by default and cheap so; on while
   * connection tracking still holds what is being cut.
   */
  cutFirst(cutFirst: boolean): KernelDelta {
    return this.#meetFirst({ ...this.#foremost, cutFirst })
  }

  /** Closes just these addresses to everybody, established connections among it, while those are being ended. */
  hold(held: ReadonlySet<string>): KernelDelta {
    const { held: before } = this.#foremost
    // Asked for with every change, and nearly always of nobody.
    if (held.size === before.size && [...held].every(address => before.has(address)))
      return { sets: [], chains: [] }
    return this.#meetFirst({ ...this.#foremost, held: new Set(held) })
  }

  /** The closed gate for a kernel that holds nothing of ours; the first delta replaces it. */
  gate(): KernelDelta {
    return gateDelta(this.#style)
  }

  /** Lists, endpoints and sets that got no name because another has it; each is closed wherever it is used. */
  collisions(): NameCollision[] {
    return this.#names.collisions()
  }

  #begin(): SetChange[] {
    this.#begun = true
    this.#placeTop()
    return FAMILIES.map(family => cutSet(family, this.#style.options))
  }

  #meetFirst(foremost: Foremost): KernelDelta {
    this.#foremost = foremost
    if (!this.#begun) return { sets: [], chains: [] }
    this.#placeTop()
    return { sets: [], chains: this.#book.take() }
  }

  #placeTop(): void {
    for (const family of FAMILIES) {
      const chains = [...topChains(family, this.#style, this.#foremost), ...sourceChains(family, this.#style)]
      this.#book.replace(`top ${family}`, chains)
    }
  }

  /** What is gone leaves first, so that its names are free for what comes. */
  #forget(delta: PolicyDelta): void {
    for (const [id, endpoint] of delta.endpoints) {
      if (endpoint !== null) continue
      this.#dispatch.place(id, null)
      this.#book.replace(`endpoint ${id}`, [])
      this.#names.release(endpointIdentity(id, 'from'))
      this.#names.release(endpointIdentity(id, 'to'))
    }
    for (const [id, list] of delta.lists) {
      if (list !== null) continue
      this.#book.replace(`list ${id}`, [])
      this.#names.release(listIdentity(id))
    }
  }

  #renderList(id: RuleListId, list: RuleList): void {
    const name = chainName(list.direction === 'inbound' ? 'in' : 'out', [id], this.#hash)
    if (this.#names.claim(listIdentity(id), name) !== null) return
    const chains = FAMILIES.map(family => listChain(list, name, family, this.#context))
    this.#book.replace(`list ${id}`, chains)
  }

  #renderEndpoint(id: string, endpoint: LocalEndpoint): void {
    const placed = placeEndpoint(endpoint, this.#style.options)
    this.#names.claim(endpointIdentity(id, 'from'), chainName('from', [id], this.#hash))
    this.#names.claim(endpointIdentity(id, 'to'), chainName('to', [id], this.#hash))
    const from = this.#names.nameOf(endpointIdentity(id, 'from'))
    const to = this.#names.nameOf(endpointIdentity(id, 'to'))
    const families = FAMILIES.filter(family => placed.addresses[family].length > 0)
    const chains = families.flatMap(family => [
      ...(from === null ? [] : [fromChain(placed, from, family, this.#context)]),
      ...(to === null ? [] : [toChain(placed, to, family, this.#context)]),
    ])
    this.#book.replace(`endpoint ${id}`, chains)
    this.#dispatch.place(id, { endpoint: placed, from, to })
  }
}

function listIdentity(id: RuleListId): string {
  return `list ${id}`
}

function unknownMembers(id: SetId): never {
  throw new TypeError(`nobody told the members of ${id}`)
}
