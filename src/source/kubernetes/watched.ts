import { type ApiResource, NAMESPACES, NETWORK_POLICIES, PODS } from './api-path.ts'

/**
 * What is watched, in the order in which it is listed: pods first, so that none comes without the namespace and the policies
 * that were there before it. A pod that is not known yet is closed.
 */
export const WATCHED = ['pods', 'namespaces', 'networkpolicies'] as const

export type WatchedResource = (typeof WATCHED)[number]

export const API_RESOURCES: Readonly<Record<WatchedResource, ApiResource>> = {
  namespaces: NAMESPACES,
  networkpolicies: NETWORK_POLICIES,
  pods: PODS,
}

/** Pods that have ended have no address any more; jobs leave many of them. */
export const SELECTORS: Readonly<Partial<Record<WatchedResource, string>>> = {
  pods: 'status.phase!=Succeeded,status.phase!=Failed',
}

export type ResourceVersions = Readonly<Record<WatchedResource, string>>

export interface KubernetesPosition {
  /** Everything of a kind up to its version was seen. */
  readonly versions: ResourceVersions
  /** The last object written that still stands. */
  readonly witness: Witness | null
}

/** By what a history is known again. */
export interface Witness {
  readonly resource: WatchedResource
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly version: string
}

/** For people: `pods@123 namespaces@120 networkpolicies@99`. */
export function revisionText({ pods, namespaces, networkpolicies }: ResourceVersions): string {
  return `pods@${pods} namespaces@${namespaces} networkpolicies@${networkpolicies}`
}

/** Whether version `a` is older than `b`. False for versions that are no numbers: their order is not for us to know. */
export function isOlder(a: string, b: string): boolean {
  const numbers = /^\d+$/
  return numbers.test(a) && numbers.test(b) && BigInt(a) < BigInt(b)
}
