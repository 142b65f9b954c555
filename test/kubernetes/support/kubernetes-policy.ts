import { setTimeout as pause } from 'node:timers/promises'
import type { PodPolicy } from '../../cni/support/started-pods.ts'
import type { Cluster } from './cluster.ts'
import { podObject, podStatus } from './objects.ts'

/** How much later than the sandbox a late pod becomes known. */
const LATE_MS = 50

/** Pods as objects of a real API, with these labels. Their status comes after they have started, as kubelet's does. */
export function kubernetesPolicy(
  { admin }: Cluster,
  node: string,
  labels: Readonly<Record<string, string>>,
): PodPolicy {
  const creating: Promise<unknown>[] = []
  return {
    own: { log_level: 'info' },
    async declare(pod, late) {
      const create = () => admin.create(podObject(pod, { node, labels }))
      if (late) creating.push(pause(LATE_MS).then(create))
      else await create()
    },
    async started({ pod, address4, address6 }) {
      await admin.patch('Pod', pod, podStatus([address4, address6]), 'status')
    },
    async close() {
      await Promise.all(creating)
    },
  }
}
