import type { Stage } from '../../../src/lab/stage.ts'
import { type Filling, startController } from './controller.ts'
import type { PodPolicy } from './started-pods.ts'

/** Policy in etcd, where this plays the controller: `profile` for every pod, before the plugin has written or after. */
export function etcdPolicy(stage: Stage, host: string, profile: string): PodPolicy {
  const { store, endpoint } = stage.etcd
  const fillings = new Map<string, Filling>()
  const controller = startController(store, host, fillings)
  const filling: Filling = { profile_ids: [profile], labels: { app: profile } }
  return {
    own: { etcd_authority: endpoint.replace('http://', ''), log_level: 'info' },
    async declare(pod, late) {
      if (late) {
        fillings.set(pod, filling)
        return
      }
      const key = `/calico/v1/host/${host}/workload/k8s/${pod.replace('/', '.')}/endpoint/eth0`
      await store.commit({ puts: [{ key, value: JSON.stringify({ state: 'active', ...filling }) }] })
    },
    close: () => controller.stop(),
  }
}
