import { existsSync } from 'node:fs'
import { CniFailure } from '../runtime/cni/failure.ts'
import type { Container } from './environment.ts'

/** Runs a command and resolves with what it printed; throws when it failed. */
export type Run = (file: string, args: readonly string[]) => Promise<string>

/** What is known of this node's interfaces without asking much. */
export interface LinkFacts {
  exists(name: string): boolean
  isBridge(name: string): boolean
}

export const systemLinks: LinkFacts = {
  exists: name => existsSync(`/sys/class/net/${name}`),
  isBridge: name => existsSync(`/sys/class/net/${name}/bridge`),
}

/**
 * The host's end of a container's veth. Of the interfaces that the result names it is the only one that is no
 * bridge (ptp names it alone, bridge its bridge too); else the kernel is asked to what the container's end is tied.
 * Throws CniFailure when that is no veth of this node.
 */
export async function hostInterface(
  named: readonly string[],
  container: Container,
  links: LinkFacts,
  run: Run,
): Promise<string> {
  const [only, ...more] = named.filter(name => links.exists(name) && !links.isBridge(name))
  if (only !== undefined && more.length === 0) return only
  const { netns, ifname } = container
  const inside = await asked(run, 'nsenter', [`--net=${netns}`, ...linkShow, 'dev', ifname])
  const own = linksIn(inside)[0]
  const other = own && linksIn(await asked(run, linkShow[0]!, linkShow.slice(1)))
  const host = other?.find(({ index, peer }) => index === own?.peer && peer === own.index)
  if (host !== undefined) return host.name
  const message = `${ifname} of the container has no other end on this node: its packets would meet no rule.`
  throw new CniFailure('NOT_ENFORCEABLE', message, 'Use a main plugin that makes a veth: ptp or bridge.')
}

const linkShow = ['ip', '-o', 'link', 'show']

async function asked(run: Run, file: string, args: readonly string[]): Promise<string> {
  try {
    return await run(file, args)
  } catch (error) {
    const message = `The container's interface cannot be looked at: ${(error as Error).message}`
    throw new CniFailure('IO_FAILED', message)
  }
}

interface Link {
  readonly index: number
  readonly name: string
  /** The other end's index where that lies in another namespace. */
  readonly peer: number | null
}

/** Lines of `ip -o link show`: `12: veth1@if3: <...`. */
export function linksIn(printed: string): Link[] {
  return [...printed.matchAll(/^(\d+): ([^\s@:]+)(?:@if(\d+))?:/gm)].map(([, index, name, peer]) => ({
    index: Number(index),
    name: name!,
    peer: peer === undefined ? null : Number(peer),
  }))
}
