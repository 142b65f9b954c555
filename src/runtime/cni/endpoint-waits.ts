import { PENDING_PROFILE, type PodAttachment } from '../../model/kubernetes/pod-attachment.ts'
import { ruleListId } from '../../policy/rule-list-id.ts'
import type { Clock } from '../clock.ts'
import type { EndpointStatus } from '../status.ts'
import { CniFailure } from './failure.ts'

/** What the waits see of the agent. */
export interface EndpointLook {
  /** How many events were taken in, how many of them the kernel has acknowledged, and what holds them up. */
  progress(): { readonly taken: number; readonly carried: number; readonly trouble: string | null }
  endpoint(id: string): SeenEndpoint | undefined
  /** The endpoint's state by what the kernel holds now. */
  state(id: string): Pick<EndpointStatus, 'state' | 'reason'>
}

export interface SeenEndpoint {
  readonly interface: string | null
  readonly mac: string | null
  readonly addresses4: readonly string[]
  readonly addresses6: readonly string[]
  /** Set when no rule of ours can see its packets: nothing to wait for. */
  readonly unseen: { readonly why: string } | null
  readonly ingress: { readonly profiles: readonly string[] }
}

export interface WantedEndpoint {
  readonly id: string
  readonly attachment: Pick<PodAttachment, 'interface' | 'mac' | 'addresses'>
}

const PENDING = ruleListId('profile', PENDING_PROFILE, 'inbound')

interface Wait extends WantedEndpoint {
  /** The endpoint is as wanted since so many events were taken in. */
  since: number | null
  reason: string
  readonly settle: (failure: CniFailure | null) => void
}

/** Who waits until an endpoint is enforced exactly as it was attached. */
export class EndpointWaits {
  readonly #look: EndpointLook
  readonly #clock: Pick<Clock, 'after'>
  readonly #waits = new Set<Wait>()

  constructor(look: EndpointLook, clock: Pick<Clock, 'after'>) {
    this.#look = look
    this.#clock = clock
  }

  /**
   * Resolves when all kernel tools have acknowledged, in both families, all that policy means for this endpoint. Throws
   * CniFailure: TRY_AGAIN with what was missing when `within` milliseconds are over, NOT_ENFORCEABLE at once.
   */
  enforced(wanted: WantedEndpoint, within: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const wait: Wait = {
        ...wanted,
        since: null,
        reason: '',
        settle: failure => {
          this.#waits.delete(wait)
          cancel()
          if (failure === null) resolve()
          else reject(failure)
        },
      }
      const cancel = this.#clock.after(within, () => {
        const message = `${wanted.id} is not enforced after ${within / 1000} s: ${wait.reason}.`
        wait.settle(new CniFailure('TRY_AGAIN', message, '`podfence status` says more.'))
      })
      this.#waits.add(wait)
      this.#judge(wait)
    })
  }

  /** Something was taken in, or the kernel has acknowledged something. */
  changed(): void {
    for (const wait of this.#waits) this.#judge(wait)
  }

  #judge(wait: Wait): void {
    const { taken, carried, trouble } = this.#look.progress()
    const endpoint = this.#look.endpoint(wait.id)
    const missing = endpoint === undefined ? 'the agent knows no such endpoint yet' : lack(endpoint, wait)
    if (missing !== null) {
      wait.since = null
      wait.reason = trouble === null ? missing : `${missing} (${trouble})`
    } else if (endpoint?.unseen) {
      const message = `${wait.id} cannot be enforced: ${endpoint.unseen.why}.`
      const details = 'Set interfacePrefixes (ptp: veth) or bridges of the agent; `podfence check` says more.'
      wait.settle(new CniFailure('NOT_ENFORCEABLE', message, details))
    } else {
      wait.since ??= taken
      if (carried < wait.since) wait.reason = trouble ?? 'it is being written to the kernel'
      else this.#ask(wait)
    }
  }

  #ask(wait: Wait): void {
    const { state, reason } = this.#look.state(wait.id)
    if (state === 'enforced') wait.settle(null)
    else wait.reason = `it is ${state}: ${reason}`
  }
}

/** In what the endpoint is not yet as it was attached; null: it is. */
function lack(endpoint: SeenEndpoint, { attachment }: WantedEndpoint): string | null {
  const { interface: name, mac, addresses4, addresses6, ingress } = endpoint
  const wrong = (what: string) => `the agent knows it with another ${what}`
  if (name !== attachment.interface) return wrong('interface')
  if (mac !== attachment.mac) return wrong('mac')
  const addresses = new Set([...addresses4, ...addresses6])
  if (addresses.size !== attachment.addresses.length) return wrong('set of addresses')
  if (!attachment.addresses.every(address => addresses.has(address))) return wrong('set of addresses')
  if (ingress.profiles.includes(PENDING)) return 'its policy is not written yet'
  return null
}
