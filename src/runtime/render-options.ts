import { readFile } from 'node:fs/promises'
import { FAMILIES, type Family } from '../model/values.ts'
import type { RenderOptions } from '../render/options.ts'
import type { Settings } from './setting-table.ts'

/** What of the host itself shapes the rendered text. */
export type HostTraits = Required<Pick<RenderOptions, 'bridgeFilter' | 'protocolNames'>>

/** What of the settings and of the host shapes the rendered text. */
export function renderOptions(settings: Settings, traits: HostTraits): RenderOptions {
  const { interfacePrefixes, bridges, markMask, onAllow, nodeToWorkload, workloadToNode } = settings
  return {
    interfacePrefixes,
    bridges,
    markMask,
    onAllow,
    nodeToWorkload,
    workloadToNode,
    dropLog: {
      enabled: settings.dropLog,
      group: settings.dropLogGroup,
      perSecond: settings.dropLogPerSecond,
    },
    cutTimeout: settings.cutTimeout / 1000,
    ...traits,
  }
}

/** What says `1` where a family's iptables sees what bridges forward. */
export const BRIDGE_CALLS: Readonly<Record<Family, string>> = {
  4: '/proc/sys/net/bridge/bridge-nf-call-iptables',
  6: '/proc/sys/net/bridge/bridge-nf-call-ip6tables',
}

/** Reads this host's traits. Both families must see bridged packets for the bridge filter to count as there. */
export async function readHostTraits(): Promise<HostTraits> {
  const text = (path: string) => readFile(path, 'utf8').catch(() => '')
  const calls = await Promise.all(FAMILIES.map(family => text(BRIDGE_CALLS[family])))
  return {
    bridgeFilter: calls.every(value => value.trim() === '1'),
    protocolNames: parseProtocolNames(await text('/etc/protocols')),
  }
}

/** Numbers and names of a text such as /etc/protocols; the first name of a number holds, as in the C library. */
export function parseProtocolNames(text: string): Map<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name = '', number = ''] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (/^[0-9]{1,3}$/.test(number) && !names.has(Number(number))) names.set(Number(number), name)
  }
  return names
}
