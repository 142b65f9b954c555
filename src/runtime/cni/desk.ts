import type { Settings } from '../setting-table.ts'
import { podEndpointId } from './attachment.ts'
import type { AttachmentBook } from './attachment-book.ts'
import type { EndpointWaits } from './endpoint-waits.ts'
import { CniFailure } from './failure.ts'
import type { DelRequest, GcRequest, PodRequest } from './request.ts'

/** What the plugin must know before it can say anything. */
export interface CniNode {
  /** This node's name in the store. */
  readonly host: string
  readonly source: Settings['source']
}

export interface CniDeskOptions extends CniNode {
  readonly annotationPolicy: () => boolean
  /** Where the agent keeps what the plugin says; null where that is in the store. */
  readonly book: AttachmentBook | null
  readonly waits: Pick<EndpointWaits, 'enforced'>
  /** Why the agent is not in sync, and why its last apply failed; null: all is well. */
  readonly health: () => { readonly waitingFor: string | null; readonly failure: string | null }
}

/** What the agent answers the CNI plugin. Each method throws CniFailure. */
export class CniDesk {
  readonly #options: CniDeskOptions

  constructor(options: CniDeskOptions) {
    this.#options = options
  }

  node(): CniNode {
    const { host, source } = this.#options
    return { host, source }
  }

  /** Takes the pod's attachment (in etcd it is already), and resolves when exactly that is enforced. */
  async add(request: PodRequest): Promise<void> {
    const { annotations, within, ...attachment } = request
    this.#mustFit(annotations)
    this.#options.book?.attach(attachment)
    await this.#enforced(request)
  }

  /** Resolves when what was added is enforced, or tells what is missing. */
  async check(request: PodRequest): Promise<void> {
    const { book } = this.#options
    this.#mustFit(request.annotations)
    const kept = book?.of(request.pod)
    if (book !== null && (kept?.sandbox !== request.sandbox || kept.detached)) {
      const message = `${request.pod} is not attached with the sandbox ${request.sandbox}.`
      throw new CniFailure('UNKNOWN_CONTAINER', message)
    }
    await this.#enforced(request)
  }

  del({ sandbox }: DelRequest): void {
    this.#options.book?.detach(sandbox)
  }

  gc({ network, sandboxes }: GcRequest): void {
    this.#options.book?.collect(network, sandboxes)
  }

  status(): void {
    const { waitingFor, failure } = this.#options.health()
    this.#mustHaveChannel('NOT_AVAILABLE')
    if (failure !== null) throw new CniFailure('LIMITED', `The last apply to the kernel failed: ${failure}.`)
    if (waitingFor !== null)
      throw new CniFailure('NOT_AVAILABLE', `The agent is not in sync yet: ${waitingFor}.`)
  }

  async #enforced({ pod, interface: name, mac, addresses, within }: PodRequest): Promise<void> {
    const id = podEndpointId(this.#options.host, pod)
    await this.#options.waits.enforced({ id, attachment: { interface: name, mac, addresses } }, within)
  }

  #mustFit(annotations: boolean): void {
    this.#mustHaveChannel('INVALID_CONFIG')
    const { source, annotationPolicy } = this.#options
    if (!annotations || source !== 'kubernetes' || annotationPolicy()) return
    const message = "The network's policy.type is k8s-annotations, and the agent's annotationPolicy is off."
    throw new CniFailure('INVALID_CONFIG', message, 'Start the agent with --annotation-policy on.')
  }

  /** Endpoints in files are written there by hand, so the plugin has nobody to tell. */
  #mustHaveChannel(name: 'INVALID_CONFIG' | 'NOT_AVAILABLE'): void {
    if (this.#options.source !== 'files') return
    const details = 'Use podfence-cni with `source: etcd` or `source: kubernetes`.'
    throw new CniFailure(name, "The agent's source is files, which name their endpoints themselves.", details)
  }
}
