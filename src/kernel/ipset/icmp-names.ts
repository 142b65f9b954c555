import type { Family } from '../../model/values.ts'

/** `type/code` to the name that ipset prints for it in an element such as `icmp:echo-request`. */
const NAMES4: Readonly<Record<string, string>> = {
  '0/0': 'echo-reply',
  '3/0': 'network-unreachable',
  '3/1': 'host-unreachable',
  '3/2': 'protocol-unreachable',
  '3/3': 'port-unreachable',
  '3/4': 'fragmentation-needed',
  '3/5': 'source-route-failed',
  '3/6': 'network-unknown',
  '3/7': 'host-unknown',
  '3/9': 'network-prohibited',
  '3/10': 'host-prohibited',
  '3/11': 'TOS-network-unreachable',
  '3/12': 'TOS-host-unreachable',
  '3/13': 'communication-prohibited',
  '3/14': 'host-precedence-violation',
  '3/15': 'precedence-cutoff',
  '4/0': 'source-quench',
  '5/0': 'network-redirect',
  '5/1': 'host-redirect',
  '5/2': 'TOS-network-redirect',
  '5/3': 'TOS-host-redirect',
  '8/0': 'echo-request',
  '9/0': 'router-advertisement',
  '10/0': 'router-solicitation',
  '11/0': 'ttl-zero-during-transit',
  '11/1': 'ttl-zero-during-reassembly',
  '12/0': 'ip-header-bad',
  '12/1': 'required-option-missing',
  '13/0': 'timestamp-request',
  '14/0': 'timestamp-reply',
  '17/0': 'address-mask-request',
  '18/0': 'address-mask-reply',
}

const NAMES6: Readonly<Record<string, string>> = {
  '1/0': 'no-route',
  '1/1': 'communication-prohibited',
  '1/3': 'address-unreachable',
  '1/4': 'port-unreachable',
  '2/0': 'packet-too-big',
  '3/0': 'ttl-zero-during-transit',
  '3/1': 'ttl-zero-during-reassembly',
  '4/0': 'bad-header',
  '4/1': 'unknown-header-type',
  '4/2': 'unknown-option',
  '128/0': 'echo-request',
  '129/0': 'echo-reply',
  '133/0': 'router-solicitation',
  '134/0': 'router-advertisement',
  '135/0': 'neighbour-solicitation',
  '136/0': 'neighbour-advertisement',
  '137/0': 'redirect',
}

/** ICMP type and code as ipset prints them: a name where it has one, else `type/code`. */
export function icmpName(type: number, code: number, family: Family): string {
  const key = `${type}/${code}`
  return (family === 4 ? NAMES4 : NAMES6)[key] ?? key
}

/** A name or `type/code` as [type, code], or null. */
export function parseIcmp(text: string, family: Family): readonly [number, number] | null {
  const numbers = /^(\d{1,3})\/(\d{1,3})$/.exec(text)
  const key =
    numbers === null
      ? Object.entries(family === 4 ? NAMES4 : NAMES6).find(([, name]) => name === text)?.[0]
      : text
  if (key === undefined) return null
  const [type, code] = key.split('/').map(Number) as [number, number]
  return type <= 255 && code <= 255 ? [type, code] : null
}
