/** What is wrong with a Kubernetes object, and what becomes of it. */
export interface KubernetesProblem {
  /** As `objectKey` prints it. */
  readonly key: string
  readonly reason: string
  readonly remedy: string
  /** Of a pod's annotation: 1-based, in code points. */
  readonly column?: number
  /** What is enforced all the same: `no inbound traffic`. */
  readonly effect: string
}

/** What the container runtime said of a pod on this node: more than the API knows, and earlier. */
export interface PodAttachment {
  /** The host-side interface. */
  readonly interface: string
  readonly mac: string | null
  readonly addresses: readonly string[]
  /** The id of the sandbox (container) that this is about. */
  readonly sandbox: string
}
