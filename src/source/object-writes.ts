import { setTimeout as sleep } from 'node:timers/promises'
import { PodfenceError } from '../errors.ts'
import type { KeyChange } from './event.ts'
import type { Store } from './store.ts'
import { READY_KEY } from './v1-tree.ts'

/** One object as it is to be written: all its keys, null for those it does not have. */
export interface ObjectWrite {
  readonly name: string
  readonly changes: readonly KeyChange[]
}

export interface WriteOptions {
  /** Waits between tries, in milliseconds; as many tries more as there are waits. */
  readonly waits?: readonly number[]
  readonly onWritten?: (object: ObjectWrite, revision: bigint) => void
}

const WAITS_MS = [200, 400, 800]

/**
 * Writes each object in one transaction of its own, in the order given; readers never see half an object.
 * A write whose answer got lost is written again: it is the whole object, so it does no harm to have it done twice.
 * Throws STORE_DENIED at once and STORE_UNREACHABLE after the last try; objects before the failing one are written.
 */
export async function writeObjects(
  store: Store,
  objects: readonly ObjectWrite[],
  options: WriteOptions = {},
): Promise<void> {
  for (const object of objects) {
    const puts = object.changes.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]))
    const deletes = object.changes.flatMap(({ key, value }) => (value === null ? [key] : []))
    const revision = await persist(options.waits ?? WAITS_MS, () => store.commit({ puts, deletes }))
    options.onWritten?.(object, revision)
  }
}

/** Declares the tree complete. Comes last, after everything that agents need is written. */
export async function writeReady(store: Store, options: WriteOptions = {}): Promise<void> {
  const puts = [{ key: READY_KEY, value: 'true' }]
  await persist(options.waits ?? WAITS_MS, () => store.commit({ puts }))
}

async function persist<T>(waits: readonly number[], write: () => Promise<T>): Promise<T> {
  for (const wait of waits) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof PodfenceError) || error.code !== 'STORE_UNREACHABLE') throw error
      await sleep(wait)
    }
  }
  return await write()
}
