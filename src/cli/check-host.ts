import { dirname } from 'node:path'
import { FAMILIES } from '../model/values.ts'
import { BRIDGE_CALLS } from '../runtime/render-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import { type Finding, green, red, yellow } from './finding.ts'
import type { HostFiles } from './host-files.ts'

/** Bits of CapEff; see capability.h. */
const CAPABILITIES: readonly (readonly [name: string, bit: bigint, why: string])[] = [
  ['CAP_NET_ADMIN', 12n, 'to write rules and sets'],
  ['CAP_NET_RAW', 13n, 'to use iptables'],
]

export async function checkCapabilities(files: HostFiles): Promise<Finding[]> {
  const status = (await files.text('/proc/self/status')) ?? ''
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return CAPABILITIES.map(([name, bit, why]) =>
    (effective >> bit) & 1n
      ? green(name, 'held')
      : red(name, `missing, and needed ${why}`, 'Run as root, or grant it.'),
  )
}

/** Both families' switch for the sysctl of a name, with what it must be and what it means when it is not. */
const FORWARDING: readonly (readonly [path: string, what: string])[] = [
  ['/proc/sys/net/ipv4/ip_forward', 'IPv4 forwarding'],
  ['/proc/sys/net/ipv6/conf/all/forwarding', 'IPv6 forwarding'],
]

export async function checkSysctls(files: HostFiles): Promise<Finding[]> {
  return Promise.all(
    FORWARDING.map(async ([path, what]) => {
      const value = (await files.text(path))?.trim()
      if (value === '1') return green(what, 'on')
      const says =
        value === undefined ? 'cannot be read' : 'off, so this host routes nothing to its workloads'
      return yellow(what, says, `Set it to 1 when workloads use this family: ${path}`)
    }),
  )
}

/**
 * Whether iptables sees what bridges forward. podfence never switches it on: it concerns every bridge
 * of the host.
 */
export async function checkBridges(
  files: HostFiles,
  settings: Pick<Settings, 'bridges'>,
): Promise<Finding[]> {
  if (settings.bridges.length === 0) return []
  const states = await Promise.all(
    FAMILIES.map(async family => ({ family, value: (await files.text(BRIDGE_CALLS[family]))?.trim() })),
  )
  if (states.every(({ value }) => value === '1'))
    return [green('br_netfilter', `on; the bridges ${settings.bridges.join(', ')} are filtered`)]
  const off = states.filter(({ value }) => value !== '1').map(({ family }) => `IPv${family}`)
  return [
    red(
      'br_netfilter',
      `off for ${off.join(' and ')}: traffic between workloads of one bridge is not filtered`,
      'modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 ' +
        '(this concerns every bridge of this host).',
    ),
  ]
}

/** Where the lock is that all users of iptables on a host share. */
export function lockPath(env: Readonly<Record<string, string | undefined>>): string {
  return env.XTABLES_LOCKFILE ?? '/run/xtables.lock'
}

/** Whether we can take the lock; in a container it must be the host's. */
export async function checkLock(
  files: HostFiles,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding> {
  const path = lockPath(env)
  const there = (await files.text(path)) !== null
  if (await files.writable(there ? path : dirname(path)))
    return green('lock', there ? `${path} can be taken` : `${path} can be made`)
  return red(
    'lock',
    `${path} cannot be written`,
    `Make it writable; in a container mount the host's ${path}.`,
  )
}
