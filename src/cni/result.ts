import { CniFailure } from '../runtime/cni/failure.ts'
import type { Container } from './environment.ts'
import { atLeast, type Version } from './version.ts'

/** What a main plugin's result says of the container's interface. */
export interface Network {
  readonly mac: string | null
  readonly addresses: readonly string[]
  /** Interfaces of the node that the result names: the host's end of the veth, and maybe its bridge. */
  readonly hostInterfaces: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>

/** Reads the result of the plugins before, of any version from 0.3.0 to 1.1.0. Throws CniFailure. */
export function readResult(prevResult: unknown, { netns, ifname }: Container): Network {
  if (prevResult === undefined) {
    const message = 'There is no prevResult: podfence-cni must be chained after a main plugin.'
    throw new CniFailure('INVALID_CONFIG', message, 'Name it after ptp or bridge in `plugins`.')
  }
  const result = object(prevResult, 'prevResult')
  const interfaces = list(result.interfaces, 'prevResult.interfaces').map((each, at) => {
    const { name, mac, sandbox } = object(each, `prevResult.interfaces[${at}]`)
    if (typeof name !== 'string') throw wrong(`prevResult.interfaces[${at}].name`, name)
    return { name, mac: texted(mac), sandbox: texted(sandbox) }
  })
  const inside = (sandbox: string) => sandbox !== '' && (sandbox === netns || netns === null)
  const named = interfaces.findIndex(({ name, sandbox }) => name === ifname && inside(sandbox))
  // The runtime may have called the namespace by another path before.
  const own =
    named >= 0 ? named : interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== '')
  const addresses = list(result.ips, 'prevResult.ips').flatMap((each, at) => {
    const { address, interface: index = null } = object(each, `prevResult.ips[${at}]`)
    if (typeof address !== 'string' || !/^[0-9A-Fa-f:.]+\/[0-9]+$/.test(address))
      throw wrong(`prevResult.ips[${at}].address`, address)
    return index === null || own < 0 || index === own ? [address.slice(0, address.indexOf('/'))] : []
  })
  if (addresses.length === 0) {
    const message = `prevResult names no address of ${ifname}: podfence enforces by address.`
    throw new CniFailure('INVALID_CONFIG', message, 'Give the main plugin an `ipam`.')
  }
  const mac = interfaces[own]?.mac ?? ''
  return {
    mac: mac === '' ? null : mac.toLowerCase(),
    addresses,
    hostInterfaces: interfaces.filter(({ sandbox }) => sandbox === '').map(({ name }) => name),
  }
}

/** The result of the plugins before as the whole chain's, in the configuration's version. */
export function passedOn(prevResult: unknown, version: Version): Fields {
  const result = object(prevResult, 'prevResult')
  if ((result.cniVersion ?? version) === version) return { cniVersion: version, ...result }
  const { ips, ...rest } = result
  const marked = list(ips, 'prevResult.ips').map(each => {
    const { version: _, ...ip } = object(each, 'prevResult.ips')
    // Up to 0.4.0 each address named its family.
    return atLeast(version, '1.0.0') ? ip : { version: String(ip.address).includes(':') ? '6' : '4', ...ip }
  })
  return { ...rest, cniVersion: version, ...(ips === undefined ? {} : { ips: marked }) }
}

function object(json: unknown, place: string): Fields {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Fields
  throw wrong(place, json)
}

function list(json: unknown, place: string): readonly unknown[] {
  if (json === undefined || json === null) return []
  if (Array.isArray(json)) return json
  throw wrong(place, json)
}

function texted(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function wrong(place: string, value: unknown): CniFailure {
  return new CniFailure('UNDECODABLE', `${place} cannot be ${JSON.stringify(value) ?? 'left out'}.`)
}
