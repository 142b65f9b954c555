import { type KeyChange, refusalOf } from '../source/event.ts'
import { brokenChange, decodeChange, goneChange, type ObjectKey } from './decoders.ts'
import { parseKey } from './key.ts'
import { Refusal } from './refusal.ts'
import type { ModelChange, Rejection } from './values.ts'

/** What the model's user was told last of a key: a good value, or that it is broken. */
type Told = 'good' | 'broken'

/** The reason comes from outside: whoever writes to a store could have written the mark of a refused value. */
function sourceRefusal(reason: string): Refusal {
  const printable = reason.replace(/\p{C}/gu, ' ').slice(0, LONGEST_REASON)
  return new Refusal('', printable || 'the source refused the value', 'Correct the value where it is kept.')
}

const LONGEST_REASON = 300

/**
 * Decodes a store's keys and values into changes of the model. A value that cannot be read never replaces a
 * good one: that stands until the key turns good or goes. Values themselves are not kept, only one word for
 * each key, so a change is yielded for every good value that comes, also when it equals the one before.
 *
 * A key that comes again is one object's history. Two objects never share a key, and the order of keys
 * within a snapshot has no meaning.
 */
export class ModelTree {
  readonly #told = new Map<string, Told>()
  readonly #rejections = new Map<string, Rejection>()

  /** The complete state of the store: what it does not name is gone. Gone objects come first. */
  snapshot(entries: ReadonlyMap<string, string>): ModelChange[] {
    const changes: ModelChange[] = []
    for (const key of this.#told.keys()) if (!entries.has(key)) this.#take(key, null, changes)
    for (const key of this.#rejections.keys()) if (!entries.has(key)) this.#rejections.delete(key)
    for (const [key, text] of entries) this.#take(key, text, changes)
    return changes
  }

  /** Changes of the store, in its order. */
  change(keyChanges: readonly KeyChange[]): ModelChange[] {
    const changes: ModelChange[] = []
    for (const { key, value } of keyChanges) this.#take(key, value, changes)
    return changes
  }

  /** Every key whose present value (or name) cannot be read, by key. The map is live. */
  rejections(): ReadonlyMap<string, Rejection> {
    return this.#rejections
  }

  /** Whether a good value of before stands in place of a rejected one. */
  lastGoodStands(key: string): boolean {
    return this.#rejections.has(key) && this.#told.get(key) === 'good'
  }

  #take(text: string, value: string | null, changes: ModelChange[]): void {
    const reading = parseKey(text)
    if (reading.read === 'ignored') return
    if (value === null) this.#rejections.delete(text)
    if (reading.read === 'refused') {
      if (value !== null) this.#reject(text, reading.refusal)
      return
    }
    const { key, fault } = reading
    if (key.kind === 'ready') return
    if (value === null) {
      if (this.#told.delete(text)) changes.push(goneChange(key))
      return
    }
    try {
      if (fault !== null) throw fault
      const refused = refusalOf(value)
      if (refused !== null) throw sourceRefusal(refused)
      changes.push(decodeChange(key, value))
      this.#told.set(text, 'good')
      this.#rejections.delete(text)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#takeBad(text, key, value, this.#reject(text, error), changes)
    }
  }

  #takeBad(text: string, key: ObjectKey, value: string, rejection: Rejection, changes: ModelChange[]): void {
    if (this.#told.get(text) === 'good') return
    this.#told.set(text, 'broken')
    changes.push(brokenChange(key, value, rejection))
  }

  #reject(key: string, { reason, remedy }: Refusal): Rejection {
    const rejection = { key, reason, remedy }
    this.#rejections.set(key, rejection)
    return rejection
  }
}
