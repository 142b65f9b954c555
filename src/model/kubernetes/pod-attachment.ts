/** What the CNI plugin said of a pod's network. */
export interface PodAttachment {
  /** Host-side interface; empty: the sandbox has lost its network. */
  readonly interface: string
  readonly mac: string | null
  readonly addresses: readonly string[]
  /** Which sandbox of the pod it belongs to. */
  readonly sandbox: string
  /** Which pod of that name it belongs to; null where the runtime does not tell. */
  readonly uid: string | null
}

/**
 * The profile that never exists: an endpoint that has it is closed until somebody writes which policy it has, as one does
 * that the plugin has attached before anybody knows its pod.
 */
export const PENDING_PROFILE = 'podfence.pending'

/** A uid as an object or an endpoint names it; null where it names none. */
export function uidOf({ uid }: { readonly uid?: unknown }): string | null {
  return typeof uid === 'string' && uid !== '' ? uid : null
}

/** Whether two uids are known to be those of different pods: one was deleted, and made again under the same name. */
export function areOtherPods(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other
}
