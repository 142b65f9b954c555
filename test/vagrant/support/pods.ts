import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEMO_PODS, type DemoPod, demoProfile, wholeName } from '../../../src/lab/demo-pods.ts'

const FILE = join(import.meta.dirname, '../../../vagrant/guest/pods')

/** A pod of the annotation examples, and where it stands. */
export interface GuestPod extends DemoPod {
  readonly node: string
  readonly address: string
  /** Its port of the bridge. */
  readonly port: string
}

/** The pods of vagrant/guest/pods, as the nodes number them. */
export function guestPods(): readonly GuestPod[] {
  const counted = new Map<string, number>()
  return readFileSync(FILE, 'utf8')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => {
      const [node = '', name = '', address = ''] = line.split(' ')
      const pod = DEMO_PODS.find(pod => wholeName(pod) === name)
      if (pod === undefined) throw new Error(`${FILE}: ${name} is no pod of the examples`)
      const index = (counted.get(node) ?? 0) + 1
      counted.set(node, index)
      return { ...pod, node, address, port: `veth${index}` }
    })
}

/** What an operator gives to `podfence apply`: each pod's endpoint, and its profile by its annotation. */
export function policyOf(pods: readonly GuestPod[]): string {
  return pods
    .flatMap(pod => {
      const name = `${pod.namespace}.${pod.name}`
      const { tags, inbound } = demoProfile(pod)
      const rules = { inbound_rules: inbound, outbound_rules: [{ action: 'allow' }] }
      return [
        { kind: 'Profile', metadata: { name }, spec: { tags, rules } },
        {
          kind: 'WorkloadEndpoint',
          metadata: { host: pod.node, orchestrator: 'k8s', workload: name, endpoint: 'eth0' },
          spec: {
            state: 'active',
            name: pod.port,
            profile_ids: [name],
            ipv4_nets: [`${pod.address}/32`],
            ipv6_nets: [],
          },
        },
      ]
    })
    .map(object => JSON.stringify({ apiVersion: 'podfence/v1', ...object }))
    .join('\n---\n')
}
