import { toolName } from '../../../src/kernel/backend.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Family } from '../../../src/model/values.ts'

/** The marks by which its chains speak to one another: to be masqueraded, to be dropped. */
export const MASQUERADE_MARK = '0x4000/0x4000'
export const DROP_MARK = '0x8000/0x8000'

export interface ProxiedService {
  readonly address4: string
  readonly address6: string
  readonly port: number
  readonly pod: LabPod
  /** A port of the node itself that leads there, masqueraded. */
  readonly nodePort?: number
}

/** The port that its firewall drops by mark. */
export const REFUSED_PORT = 8081

/**
 * The rules of kube-proxy for some services, with its chains, marks and order; who calls from outside the cluster, or
 * a pod that calls itself, is masqueraded.
 */
export async function kubeProxyRules(
  node: LabNode,
  services: readonly ProxiedService[],
  family: Family,
): Promise<void> {
  const own = (place: { readonly address4: string | null; readonly address6: string | null }) =>
    (family === 4 ? place.address4 : place.address6)!
  const host = family === 4 ? 32 : 128
  const [cluster, bracket] =
    family === 4 ? ['10.64.0.0/14', (text: string) => text] : ['fd64::/14', (text: string) => `[${text}]`]
  const each = services.map((service, index) => ({
    service,
    svc: `KUBE-SVC-${index}`,
    sep: `KUBE-SEP-${index}`,
  }))
  const nat = [
    '*nat',
    ...['SERVICES', 'NODEPORTS', 'MARK-MASQ', 'POSTROUTING'].map(name => `:KUBE-${name} - [0:0]`),
    ...each.flatMap(({ svc, sep }) => [`:${svc} - [0:0]`, `:${sep} - [0:0]`]),
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    ...each.map(
      ({ service, svc }) =>
        `-A KUBE-SERVICES -d ${own(service)}/${host} -p tcp --dport ${service.port} -j ${svc}`,
    ),
    '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    ...each.flatMap(({ service, svc }) =>
      service.nodePort === undefined
        ? []
        : [
            `-A KUBE-NODEPORTS -p tcp --dport ${service.nodePort} -j KUBE-MARK-MASQ`,
            `-A KUBE-NODEPORTS -p tcp --dport ${service.nodePort} -j ${svc}`,
          ],
    ),
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    ...each.flatMap(({ service: { pod, port }, svc, sep }) => [
      `-A ${svc} ! -s ${cluster} -j KUBE-MARK-MASQ`,
      `-A ${svc} -j ${sep}`,
      `-A ${sep} -s ${own(pod)}/${host} -j KUBE-MARK-MASQ`,
      `-A ${sep} -p tcp -j DNAT --to-destination ${bracket(own(pod))}:${port}`,
    ]),
    `-A KUBE-POSTROUTING -m mark ! --mark ${MASQUERADE_MARK} -j RETURN`,
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
    'COMMIT',
  ]
  const filter = [
    '*filter',
    ...['FIREWALL', 'FORWARD'].map(name => `:KUBE-${name} - [0:0]`),
    '-A INPUT -j KUBE-FIREWALL',
    '-A OUTPUT -j KUBE-FIREWALL',
    '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    `-A KUBE-FIREWALL -m mark --mark ${DROP_MARK} -j DROP`,
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    `-A KUBE-FORWARD -m mark --mark ${MASQUERADE_MARK} -j ACCEPT`,
    '-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    'COMMIT',
  ]
  // Its drop mark is set in mangle here, on one port, so that there is something to drop.
  const mangle = [
    '*mangle',
    `-A PREROUTING -p tcp --dport ${REFUSED_PORT} -j MARK --or-mark 0x8000`,
    'COMMIT',
  ]
  const input = [...nat, ...filter, ...mangle, ''].join('\n')
  await node.run([toolName(node.backend, family, 'restore'), '--noflush', '-w'], { input })
}
