import { canonicalAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import type { LocalEndpoint, PolicyStack } from '../policy/outcome.ts'
import { type Attachment, attachmentOf, type RenderOptions } from './options.ts'
import { canonicalMac, isInterfaceName } from './safe-text.ts'

/** A local endpoint as far as its chains and its dispatch need it, with every text printed again. */
export interface PlacedEndpoint {
  readonly id: string
  /** The id without this host's name, for people: `k8s/default.web/eth0`. */
  readonly title: string
  /** null where the interface cannot be enforced on: then the endpoint is closed. */
  readonly attachment: Attachment | null
  readonly mac: string | null
  readonly addresses: Readonly<Record<Family, readonly string[]>>
  readonly closed: string | null
  readonly ingress: PolicyStack
  readonly egress: PolicyStack
}

/** The model refuses bad names and addresses before; one that comes through all the same closes its endpoint. */
export function placeEndpoint(endpoint: LocalEndpoint, options: RenderOptions): PlacedEndpoint {
  const reasons: string[] = []
  if (endpoint.closed !== null) reasons.push(endpoint.closed)
  const attachment = attach(endpoint.interface, options, reasons)
  const mac = endpoint.mac === null ? null : canonicalMac(endpoint.mac)
  if (mac === null && endpoint.mac !== null) reasons.push('its mac is no Ethernet address')
  return {
    id: endpoint.id,
    title: endpoint.id.slice(endpoint.id.indexOf('/') + 1),
    attachment,
    mac,
    addresses: { 4: clean(endpoint.addresses4, 4, reasons), 6: clean(endpoint.addresses6, 6, reasons) },
    closed: reasons.length === 0 ? null : reasons.join('; '),
    ingress: endpoint.ingress,
    egress: endpoint.egress,
  }
}

function attach(name: string, options: RenderOptions, reasons: string[]): Attachment | null {
  if (!isInterfaceName(name)) {
    reasons.push('its interface name cannot be one')
    return null
  }
  const attachment = attachmentOf(name, options)
  if (attachment.kind === 'routed') return attachment
  if (options.bridges.length === 0) reasons.push('its interface has no workload prefix, and no bridge is set')
  else if (options.bridgeFilter === false) reasons.push('it hangs on a bridge, and br_netfilter is not there')
  else return attachment
  return null
}

function clean(texts: readonly string[], family: Family, reasons: string[]): string[] {
  const addresses = new Set<string>()
  for (const text of texts) {
    const address = canonicalAddress(text)
    if (address !== null && address.includes(':') === (family === 6)) addresses.add(address)
    else reasons.push(`one of its addresses is none of IPv${family}`)
  }
  return [...addresses]
}
