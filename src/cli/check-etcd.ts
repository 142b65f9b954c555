import type { PodfenceError } from '../errors.ts'
import { etcdOptions } from '../runtime/etcd-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import { READY_KEY } from '../source/v1-tree.ts'
import { type Finding, green, red, yellow } from './finding.ts'

/** A person waits for the answer. */
export const CHECK_TIMES = { requestTimeoutMs: 5000, dialTimeoutMs: 3000 }

/** Whether etcd answers to these settings, and whether its tree is complete. */
export async function checkEtcd(settings: Settings): Promise<Finding> {
  const { openEtcd } = await import('../source/etcd-client.ts')
  try {
    const store = openEtcd({ ...(await etcdOptions(settings)), ...CHECK_TIMES })
    try {
      const { header, entry } = await store.get(READY_KEY)
      const where = `${store.name} answers, revision ${header.revision}`
      if (entry?.value === 'true') return green('etcd', where)
      const remedy =
        'Whoever writes the tree (`podfence apply`) sets it last; until then the agent changes nothing.'
      return yellow('etcd', `${where}, and ${READY_KEY} is not true`, remedy)
    } finally {
      store.close()
    }
  } catch (error) {
    const { code, message, next } = error as PodfenceError
    const remedy =
      code === 'STORE_UNREACHABLE' ? 'Check the address, the certificates and the network.' : next
    return red('etcd', message, remedy)
  }
}
