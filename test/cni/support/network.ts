import { podAddress } from '../../../src/lab/address-plan.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Conflist, Json } from './caller.ts'

/** The main plugin of a chain. */
export type Main = 'ptp' | 'bridge'

/** The range of pods that the CNI plugins of the tests give addresses; the laboratory's own pods have others. */
export const RANGE4 = '10.67.0.0/16'
export const RANGE6 = 'fd67::/64'

/** What the agent of a node must be told for this main plugin. */
export const AGENT_FLAGS: Readonly<Record<Main, readonly string[]>> = {
  ptp: ['--interface-prefixes', 'cali,veth'],
  bridge: ['--bridges', 'cni0'],
}

/** A chain of the main plugin with host-local addresses, and ours after it. */
export function conflist(main: Main, node: LabNode, own: Json): Conflist {
  const ipam = {
    type: 'host-local',
    dataDir: `${node.stateDirectory}/ipam`,
    ranges: [[{ subnet: RANGE4 }], [{ subnet: RANGE6 }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  }
  const mains = {
    ptp: { type: 'ptp', ipMasq: false, ipam },
    bridge: { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: false, ipam },
  }
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [mains[main], { type: 'podfence-cni', socket: `${node.runDirectory}/cni.sock`, ...own }],
  }
}

/** What gives a pod the addresses of its number (2 to 65534), which it can be probed at before it is there. */
export function asking(number: number): {
  readonly address4: string
  readonly address6: string
  readonly args: Json
} {
  const address4 = `10.67.${number >> 8}.${number & 255}`
  const address6 = podAddress(RANGE6, number)
  return { address4, address6, args: { args: { cni: { ips: [address4, address6] } } } }
}

/** Routes to these pods on `node` from everywhere else in the laboratory. */
export async function routeTo(stage: Stage, node: LabNode): Promise<void> {
  const { lab } = stage
  for (const place of [...lab.nodes.filter(other => other !== node), lab.external])
    for (const [range, via] of [
      [RANGE4, node.address4],
      [RANGE6, node.address6],
    ] as const)
      await place.run(['ip', 'route', 'replace', range, 'via', via])
}
