import { setTimeout as pause } from 'node:timers/promises'
import { PodfenceError } from '../../../src/errors.ts'
import { ConditionFailed, type Store, type StoreEntry } from '../../../src/source/store.ts'

/** What the controller says of a pod. */
export interface Filling {
  readonly profile_ids: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
}

/** How often the controller looks what the plugin has written. */
const LOOK_MS = 30

/** Plays `podfence controller` for the pods of one node: fills in, a while later, what the CNI plugin has left open. */
export function startController(store: Store, host: string, fillings: ReadonlyMap<string, Filling>) {
  const prefix = `/calico/v1/host/${host}/workload/k8s/`
  const stop = new AbortController()

  const fill = async ({ key, value, modRevision }: StoreEntry) => {
    const pod = key.slice(prefix.length).split('/')[0]!.replace('.', '/')
    const filling = fillings.get(pod)
    if (filling === undefined || !value.includes('podfence.pending')) return
    const puts = [{ key, value: JSON.stringify({ ...JSON.parse(value), ...filling }) }]
    await store.commit({ conditions: [{ key, modRevision }], puts })
  }
  const look = async () => {
    try {
      for await (const { entries } of store.pages(prefix, 1000, stop.signal))
        for (const entry of entries) await fill(entry)
    } catch (error) {
      // Somebody wrote in between, or a busy machine has let the connection go: the next look comes soon.
      if (!(error instanceof ConditionFailed || error instanceof PodfenceError)) throw error
    }
  }
  const looking = (async () => {
    for (; !stop.signal.aborted; await pause(LOOK_MS)) await look()
  })()
  return {
    async stop() {
      stop.abort()
      await looking.catch(error => {
        if (!stop.signal.aborted) throw error
      })
    },
  }
}
