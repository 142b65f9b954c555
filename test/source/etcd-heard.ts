import type { Test } from 'tap'
import { openEtcd } from '../../src/source/etcd-client.ts'
import { EtcdSource } from '../../src/source/etcd-source.ts'
import type { Store } from '../../src/source/store.ts'
import { Heard } from './heard.ts'

const QUICK = { dialTimeoutMs: 2_000, keepaliveTimeMs: 1_000, keepaliveTimeoutMs: 500 }
/** etcd punishes pings more frequent than this. */
export const ARGS = [
  '--grpc-keepalive-min-time',
  '500ms',
  '--experimental-watch-progress-notify-interval',
  '300ms',
]

export function open(t: Test, endpoint: string): Store {
  const store = openEtcd({ endpoints: [endpoint], ...QUICK })
  t.teardown(() => store.close())
  return store
}

export function listen(t: Test, store: Store, pageSize = 2_000): Heard {
  const heard = new Heard(new EtcdSource(store, { pageSize }))
  t.teardown(() => heard.stop())
  return heard
}

/** Writes `count` keys `PREFIX/0..`, a hundred to a transaction. */
export async function fill(store: Store, prefix: string, count: number, value = 'x'): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    const length = Math.min(100, count - from)
    await store.commit({
      puts: Array.from({ length }, (_, at) => ({ key: `/calico/v1/${prefix}/${from + at}`, value })),
    })
  }
}
