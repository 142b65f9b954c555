import { type Cidr, parseCidr } from '../../model/cidr.ts'
import type { Family } from '../../model/values.ts'

export interface FakeElement {
  /** As `ipset save` prints it. */
  readonly text: string
  /** Milliseconds on the store's clock; null: never. */
  readonly expires: number | null
  readonly comment: string | null
  readonly counters: { readonly packets: string; readonly bytes: string } | null
  readonly nomatch: boolean
}

export interface SetHeader {
  readonly type: string
  readonly family: Family
  readonly hashsize: number
  readonly maxelem: number
  /** Seconds; null: no timeouts in this set. */
  readonly timeout: number | null
  readonly counters: boolean
  readonly comment: boolean
  readonly skbinfo: boolean
}

export interface FakeSet extends SetHeader {
  readonly name: string
  readonly elements: Map<string, FakeElement>
  /** hash:net: prefix length to its networks, kept beside the elements for the walk. */
  readonly nets: Map<string, Cidr>
}

/** All sets by name, and the clock by which their elements expire. */
export class SetStore {
  readonly #now: () => number
  readonly #sets = new Map<string, FakeSet>()

  constructor(now: () => number) {
    this.#now = now
  }

  get(name: string): FakeSet | undefined {
    const set = this.#sets.get(name)
    if (set !== undefined) this.#expire(set)
    return set
  }

  names(): string[] {
    return [...this.#sets.keys()]
  }

  create(name: string, header: SetHeader): void {
    this.#sets.set(name, { ...header, name, elements: new Map(), nets: new Map() })
  }

  put(set: FakeSet, element: Omit<FakeElement, 'expires'>, seconds: number | null): void {
    const expires = seconds === null || seconds === 0 ? null : this.#now() + seconds * 1000
    set.elements.set(element.text, { ...element, expires })
    if (set.type === 'hash:net') set.nets.set(element.text, parseCidr(element.text)!)
  }

  take(set: FakeSet, text: string): void {
    set.elements.delete(text)
    set.nets.delete(text)
  }

  flush(set: FakeSet): void {
    set.elements.clear()
    set.nets.clear()
  }

  destroy(name: string): void {
    this.#sets.delete(name)
  }

  /** The contents change places; whoever refers to a name refers to the other content from now on. */
  swap(left: FakeSet, right: FakeSet): void {
    this.#sets.set(left.name, { ...right, name: left.name })
    this.#sets.set(right.name, { ...left, name: right.name })
  }

  rename(set: FakeSet, name: string): void {
    this.#sets.delete(set.name)
    this.#sets.set(name, { ...set, name })
  }

  /** Whole seconds that an element has left, as `ipset save` counts: 0 stands for ever. */
  secondsLeft(element: FakeElement): number {
    if (element.expires === null) return 0
    return Math.max(1, Math.floor((element.expires - this.#now()) / 1000))
  }

  #expire(set: FakeSet): void {
    if (set.timeout === null) return
    const now = this.#now()
    for (const element of set.elements.values())
      if (element.expires !== null && element.expires <= now) this.take(set, element.text)
  }
}
