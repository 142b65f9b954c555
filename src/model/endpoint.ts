import { checkGateway, decodeAddresses } from './address-field.ts'
import { parseSingleAddress } from './cidr.ts'
import { decodeId } from './id.ts'
import { decodeInterfaceName } from './interface-name.ts'
import { asObject, type JsonObject, listMember, member } from './json.ts'
import { decodeLabelsMember } from './labels.ts'
import { attempt, Refusal, show } from './refusal.ts'
import type { EndpointRemains, Family, WorkloadEndpoint } from './values.ts'

/** Where an endpoint stands in the tree. */
export interface EndpointPlace {
  readonly host: string
  readonly orchestrator: string
  readonly workload: string
  readonly endpoint: string
}

const NO_PROFILES: readonly string[] = []

/** `profile_ids`, or the single `profile_id` of older writers; the first of doubles stands. */
export function decodeProfileIds(object: JsonObject): readonly string[] {
  const legacy = member(object, 'profile_id')
  if ((member(object, 'profile_ids') ?? null) === null && (legacy ?? null) !== null)
    return [decodeId(legacy, 'a profile id', 'profile_id')]
  const ids = listMember(object, 'profile_ids', 'profile_ids')
  if (ids.length === 0) return NO_PROFILES
  return [...new Set(ids.map((id, at) => decodeId(id, 'a profile id', `profile_ids[${at}]`)))]
}

function decodeState(object: JsonObject): boolean {
  const state = member(object, 'state')
  if (state === 'active' || state === 'inactive') return state === 'active'
  throw new Refusal('state', `${show(state)} is not a state`, 'Write "active" or "inactive".')
}

/** Whoever writes an endpoint without having seen its interface says so with an empty name; null here. */
function decodeName(object: JsonObject): string | null {
  const name = member(object, 'name')
  return name === '' ? null : decodeInterfaceName(name, 'name')
}

/** Pairs of hex digits joined by `:` or `-`, to lower case with `:`. */
function decodeMac(object: JsonObject): string | null {
  const mac = member(object, 'mac')
  if (mac === undefined) return null
  if (typeof mac === 'string' && /^[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}$/i.test(mac))
    return mac.toLowerCase().replaceAll('-', ':')
  throw new Refusal(
    'mac',
    `${show(mac)} is not a MAC address`,
    'Write six pairs of hex digits, or leave mac out.',
  )
}

/** Checked as Felix did, and not used: podfence does no address translation. */
function checkNat(object: JsonObject, family: Family, nets: readonly string[]): void {
  const field = `ipv${family}_nat`
  listMember(object, field, field).forEach((entry, at) => {
    const place = `${field}[${at}]`
    const nat = asObject(entry, place)
    for (const name of ['int_ip', 'ext_ip']) {
      const value = member(nat, name)
      const address = typeof value === 'string' ? parseSingleAddress(value, family) : null
      if (address === null)
        throw new Refusal(
          `${place}.${name}`,
          `${show(value)} is not an IPv${family} address`,
          'Name one address.',
        )
      if (name === 'int_ip' && !nets.includes(address))
        throw new Refusal(
          `${place}.int_ip`,
          `${address} is not in ipv${family}_nets`,
          'Name one of the own nets.',
        )
    }
  })
}

/** A workload endpoint's JSON value. Fields that are not of the model are ignored. Throws Refusal. */
export function decodeWorkloadEndpoint(json: unknown, place: EndpointPlace): WorkloadEndpoint {
  const object = asObject(json, '')
  const active = decodeState(object)
  const name = decodeName(object)
  const mac = decodeMac(object)
  const profiles = decodeProfileIds(object)
  const addresses4 = decodeAddresses(object, 'ipv4_nets', 4)
  const addresses6 = decodeAddresses(object, 'ipv6_nets', 6)
  checkGateway(member(object, 'ipv4_gateway'), 4, 'ipv4_gateway')
  checkGateway(member(object, 'ipv6_gateway'), 6, 'ipv6_gateway')
  checkNat(object, 4, addresses4)
  checkNat(object, 6, addresses6)
  const labels = decodeLabelsMember(object)
  const { host, orchestrator, workload, endpoint } = place
  return {
    host,
    orchestrator,
    workload,
    endpoint,
    active,
    interface: name,
    mac,
    profiles,
    addresses4,
    addresses6,
    labels,
  }
}

/** What of a refused endpoint can still be trusted. Never throws. */
export function endpointRemains(json: unknown): EndpointRemains {
  const object = attempt(() => asObject(json, ''))
  if (object === undefined) return {}
  const labels = attempt(() => decodeLabelsMember(object))
  const profiles = attempt(() => decodeProfileIds(object))
  return { ...(labels && { labels }), ...(profiles && { profiles }) }
}
