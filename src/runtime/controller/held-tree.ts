import type { KeyChange } from '../../source/event.ts'
import type { StoreEntry } from '../../source/store.ts'
import { isReady, READY_KEY } from '../../source/v1-tree.ts'
import { KeysByUnit, type Unit, unitOf } from './unit.ts'

/** A key as the store has it. */
export interface HeldKey {
  readonly value: string
  readonly modRevision: bigint
}

/** No revision of etcd's is so low; in a condition it stands for a key that is not there. */
export const ABSENT = 0n

/**
 * The part of the store that looks like the controller's, as it was seen last. It is told of by the watch, by our own writes
 * and by single reads, in any order: of two tales of a key the one of the higher revision is true, and a snapshot
 * replaces them all.
 */
export class HeldTree {
  readonly #keys = new KeysByUnit<HeldKey>()
  /** What the watch has seen of each key, by its own count. */
  readonly #revisions: ReadonlyMap<string, bigint>
  #ready: HeldKey | null = null

  /** `revisions`: EtcdSource keeps them, each before the event that tells of it. */
  constructor(revisions: ReadonlyMap<string, bigint>) {
    this.#revisions = revisions
  }

  get ready(): boolean {
    return isReady(this.#ready?.value)
  }

  units(): IterableIterator<Unit> {
    return this.#keys.units()
  }

  of(unit: Unit): ReadonlyMap<string, HeldKey> {
    return this.#keys.of(unit)
  }

  /** The revision of a key's last change, as a condition has it. */
  revisionOf(key: string): bigint {
    if (key === READY_KEY) return this.#ready?.modRevision ?? ABSENT
    const unit = unitOf(key)
    return (unit === null ? undefined : this.#keys.get(unit, key)?.modRevision) ?? ABSENT
  }

  snapshot(entries: ReadonlyMap<string, string>): void {
    this.#keys.clear()
    this.#ready = null
    for (const [key, value] of entries)
      this.#put(key, { value, modRevision: this.#revisions.get(key) ?? ABSENT })
  }

  /** Resolves with the units that differ from what was known. */
  change(changes: readonly KeyChange[]): Set<Unit> {
    const changed = new Set<Unit>()
    // Of several changes of a key only the last one has the revision that is known of it.
    const last = new Map(changes.map(({ key, value }) => [key, value]))
    for (const [key, value] of last) {
      const modRevision = this.#revisions.get(key) ?? ABSENT
      const known = this.revisionOf(key)
      // The watch comes behind our own writes.
      if (value === null ? known === ABSENT : modRevision <= known) continue
      if (value === null) this.#remove(key)
      else this.#put(key, { value, modRevision })
      const unit = unitOf(key)
      if (unit !== null) changed.add(unit)
    }
    return changed
  }

  /** We have written this at `revision`. */
  wrote(changes: readonly KeyChange[], revision: bigint): void {
    for (const { key, value } of changes)
      if (value === null) this.#remove(key)
      else this.#put(key, { value, modRevision: revision })
  }

  /** We have read this key just now. */
  read(key: string, entry: StoreEntry | null): void {
    if (entry === null) this.#remove(key)
    else this.#put(key, { value: entry.value, modRevision: entry.modRevision })
  }

  #put(key: string, held: HeldKey): void {
    if (key === READY_KEY) this.#ready = held
    const unit = unitOf(key)
    if (unit !== null) this.#keys.set(unit, key, held)
  }

  #remove(key: string): void {
    if (key === READY_KEY) this.#ready = null
    const unit = unitOf(key)
    if (unit !== null) this.#keys.delete(unit, key)
  }
}
