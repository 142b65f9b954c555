import { canonicalAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import type { LocalEndpoint, PolicyStack } from '../policy/outcome.ts'
import { type Attachment, attachmentOf, type RenderOptions } from './options.ts'
import { canonicalMac, isInterfaceName } from './safe-text.ts'

/** Traffic of an endpoint that meets no rule of ours, however closed it is. */
export interface Unseen {
  /** All that is forwarded or sent to the node; or only what its bridge forwards without asking iptables. */
  readonly what: 'all' | 'bridged'
  /** Why, for people. */
  readonly why: string
}

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
  readonly unseen: Unseen | null
  readonly ingress: PolicyStack
  readonly egress: PolicyStack
}

/** The model refuses bad names and addresses before; one that comes through all the same closes its endpoint. */
export function placeEndpoint(endpoint: LocalEndpoint, options: RenderOptions): PlacedEndpoint {
  const reasons: string[] = []
  if (endpoint.closed !== null) reasons.push(endpoint.closed)
  const attached = attach(endpoint.interface, options)
  const attachment = 'unseen' in attached ? null : attached
  const unseen = 'unseen' in attached ? attached.unseen : null
  if (unseen !== null) reasons.push(unseen.why)
  const mac = endpoint.mac === null ? null : canonicalMac(endpoint.mac)
  if (mac === null && endpoint.mac !== null) reasons.push('its mac is no Ethernet address')
  return {
    id: endpoint.id,
    title: endpoint.id.slice(endpoint.id.indexOf('/') + 1),
    attachment,
    mac,
    addresses: { 4: clean(endpoint.addresses4, 4, reasons), 6: clean(endpoint.addresses6, 6, reasons) },
    unseen,
    closed: reasons.length === 0 ? null : reasons.join('; '),
    ingress: endpoint.ingress,
    egress: endpoint.egress,
  }
}

/**
 * Behind an interface that is neither a bridge nor of a workload prefix there is no gate: a rule on any name that
 * the store says could as well cut the node off.
 */
function attach(name: string | null, options: RenderOptions): Attachment | { readonly unseen: Unseen } {
  if (name !== null && !isInterfaceName(name))
    return { unseen: { what: 'all', why: 'its interface name cannot be one' } }
  const attachment = attachmentOf(name, options)
  if (attachment.kind === 'routed') return attachment
  if (attachment.kind === 'bridge' && options.bridges.length === 0)
    return { unseen: { what: 'all', why: 'its interface has no workload prefix, and no bridge is set' } }
  if (options.bridges.length > 0 && options.bridgeFilter === false)
    return { unseen: { what: 'bridged', why: HANGS[attachment.kind] } }
  return attachment
}

const HANGS = {
  bridge: 'it hangs on a bridge, and br_netfilter is not there',
  unknown: 'it may hang on a bridge, and br_netfilter is not there',
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
