import type { PodAttachment } from '../../model/kubernetes/pod-attachment.ts'

/** A source whose endpoints know their interface only from the CNI plugin. */
export interface Attachments {
  /** `pod` as `NAMESPACE/NAME`. The changes that follow come as an event of the source, before this returns. */
  attach(pod: string, attachment: PodAttachment | null): void
}

/** An attachment as it is kept. */
export interface AttachmentRecord extends PodAttachment {
  readonly pod: string
  /** The CNI network that it came with. */
  readonly network: string
  /** Of two records of one pod the later counts. Milliseconds since 1970. */
  readonly at: number
  /** The sandbox has lost its network. Until the pod is gone or gets another sandbox, it has no address. */
  readonly detached: boolean
}

/** The id of a pod's endpoint of this host. */
export function podEndpointId(host: string, pod: string): string {
  return `${host}/k8s/${pod.replace('/', '.')}/eth0`
}
