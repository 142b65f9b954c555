import type { Lease } from '../../source/kubernetes/lease.ts'
import type { Store, StoreWrite } from '../../source/store.ts'
import { ABSENT } from './held-tree.ts'

/** Who writes the tree. Beside Calico's own keys, since no other reader is to stumble over it. */
export const HOLDER_KEY = '/podfence/controller/holder'

/** The lease is somebody else's, or nobody can say whose. */
export class LeaseNotOurs extends Error {}

/**
 * Keeps the writes of a holder of before away from the store. A process that stood still while its lease ended may write as
 * soon as it goes on, before it looks at any clock. So each transaction has the condition that the holder's key is still the one that
 * this holder wrote, and each new holder writes that key anew.
 */
export class Fence {
  readonly #store: Store
  readonly #lease: Pick<Lease, 'attempt' | 'held' | 'options'>
  #revision: bigint | null = null

  constructor(store: Store, lease: Pick<Lease, 'attempt' | 'held' | 'options'>) {
    this.#store = store
    this.#lease = lease
  }

  /** What each transaction has among its conditions. Throws LeaseNotOurs while there is nothing to stand behind. */
  get condition(): NonNullable<StoreWrite['conditions']>[number] {
    if (this.#revision === null || !this.#lease.held) throw new LeaseNotOurs('the lease is not ours')
    return { key: HOLDER_KEY, modRevision: this.#revision }
  }

  /**
   * Puts up our own fence. The lease is renewed between the read and the write of the key: whoever takes it over after that writes
   * the key after that, and whoever had it before can only have read an older one. So of two who believe to hold the lease the
   * true holder comes through. Throws LeaseNotOurs, ConditionFailed (when another one was faster), ApiError and the store's errors.
   */
  async take(signal: AbortSignal): Promise<void> {
    this.#revision = null
    const { entry } = await this.#store.get(HOLDER_KEY)
    if (!(await this.#lease.attempt({ signal }))) throw new LeaseNotOurs('the lease is not ours')
    this.#revision = await this.#store.commit({
      conditions: [{ key: HOLDER_KEY, modRevision: entry?.modRevision ?? ABSENT }],
      puts: [{ key: HOLDER_KEY, value: JSON.stringify({ identity: this.#lease.options.identity }) }],
    })
  }

  /** Whether our fence still stands, in the store's words. */
  async stands(): Promise<boolean> {
    const { entry } = await this.#store.get(HOLDER_KEY)
    return entry !== null && entry.modRevision === this.#revision
  }
}
