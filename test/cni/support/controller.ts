import { setTimeout as pause } from 'node:timers/promises'
import { ConditionFailed, type Store } from '../../../src/source/store.ts'

/** What the controller says of a pod. */
export interface Filling {
  readonly profile_ids: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
}

/**
 * Plays `podfence controller` for the pods of one node: fills in what the CNI plugin leaves open. `late` milliseconds
 * after the plugin has written, so that a pod waits for it.
 */
export function startController(
  store: Store,
  host: string,
  fillings: ReadonlyMap<string, Filling>,
  late: number,
) {
  const prefix = `/calico/v1/host/${host}/workload/k8s/`
  const stop = new AbortController()
  const fill = async (key: string) => {
    const pod = key.slice(prefix.length).split('/')[0]!.replace('.', '/')
    const filling = fillings.get(pod)
    if (filling === undefined) return
    await pause(late)
    for (;;) {
      const { entry } = await store.get(key)
      if (entry === null) return
      const value = JSON.stringify({ ...JSON.parse(entry.value), ...filling })
      try {
        await store.commit({ conditions: [{ key, modRevision: entry.modRevision }], puts: [{ key, value }] })
        return
      } catch (error) {
        if (!(error instanceof ConditionFailed)) throw error
      }
    }
  }
  const watching = (async () => {
    const { header } = await store.get(prefix)
    const filled: Promise<void>[] = []
    await store.watch(
      prefix,
      header.revision + 1n,
      ({ events }) => {
        for (const { key, value, gone } of events)
          if (!gone && value.includes('podfence.pending')) filled.push(fill(key))
      },
      stop.signal,
    )
    await Promise.all(filled)
  })()
  return {
    async stop() {
      stop.abort()
      await watching
    },
  }
}
