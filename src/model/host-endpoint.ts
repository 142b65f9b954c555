import { decodeAddresses } from './address-field.ts'
import { decodeProfileIds } from './endpoint.ts'
import { decodeInterfaceName } from './interface-name.ts'
import { asObject, member } from './json.ts'
import { decodeLabelsMember } from './labels.ts'
import { Refusal } from './refusal.ts'
import type { HostEndpoint } from './values.ts'

const WORKLOAD_ONLY = [
  'state',
  'mac',
  'ipv4_nets',
  'ipv6_nets',
  'ipv4_gateway',
  'ipv6_gateway',
  'ipv4_nat',
  'ipv6_nat',
]

/** A host endpoint's JSON value: an interface by name, or by the addresses it is expected to have. Throws Refusal. */
export function decodeHostEndpoint(
  json: unknown,
  place: { readonly host: string; readonly endpoint: string },
): HostEndpoint {
  const object = asObject(json, '')
  for (const field of WORKLOAD_ONLY)
    if (member(object, field) !== undefined)
      throw new Refusal(field, 'this field belongs to workload endpoints', 'Leave it out of a host endpoint.')
  const name = member(object, 'name') ?? null
  const addresses4 = decodeAddresses(object, 'expected_ipv4_addrs', 4)
  const addresses6 = decodeAddresses(object, 'expected_ipv6_addrs', 6)
  if (name === null && addresses4.length === 0 && addresses6.length === 0)
    throw new Refusal(
      '',
      'a host endpoint names neither an interface nor an address',
      'Set name, expected_ipv4_addrs or expected_ipv6_addrs.',
    )
  return {
    host: place.host,
    endpoint: place.endpoint,
    interface: name === null ? null : decodeInterfaceName(name, 'name'),
    addresses4,
    addresses6,
    profiles: decodeProfileIds(object),
    labels: decodeLabelsMember(object),
  }
}
