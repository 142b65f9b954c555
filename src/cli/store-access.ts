import { PodfenceError } from '../errors.ts'
import { etcdOptions } from '../runtime/etcd-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import type { Store } from '../source/store.ts'
import { ROOT } from '../source/v1-tree.ts'

const PAGE_SIZE = 2000

/** Opens etcd for one piece of work and closes it after. A command must answer soon, so it waits less than the agent. */
export async function withStore<Result>(
  settings: Settings,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const { openEtcd } = await import('../source/etcd-client.ts')
  const store = openEtcd(await etcdOptions(settings))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

/** The whole v1 tree as it is now. */
export async function readTree(store: Store): Promise<{ entries: Map<string, string>; revision: string }> {
  const entries = new Map<string, string>()
  let revision = ''
  for await (const page of store.pages(ROOT, PAGE_SIZE, new AbortController().signal)) {
    revision = String(page.revision)
    for (const { key, value } of page.entries) entries.set(key, value)
  }
  if (revision === '') throw new PodfenceError('STORE_UNREACHABLE', `etcd at ${store.name} listed nothing.`)
  return { entries, revision }
}
