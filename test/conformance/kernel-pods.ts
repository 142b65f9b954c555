import type { Lab } from '../../src/lab/lab.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { type CasePod, isFinished } from './case.ts'
import { labName, podRequest } from './kernel-plan.ts'

/** Who has gone and who has come, by `NAMESPACE/NAME`; a pod that was moved or given another address has done both. */
export interface PodDifference {
  readonly gone: ReadonlyMap<string, LabPod>
  readonly made: ReadonlyMap<string, LabPod>
}

/** The laboratory's pods, kept as a case has them. */
export class KernelPods {
  readonly #lab: Lab
  /** By `NAMESPACE/NAME`. */
  readonly #pods = new Map<string, LabPod>()

  constructor(lab: Lab) {
    this.#lab = lab
  }

  /** `NAMESPACE/NAME` to the laboratory's pod, as they stand now. */
  get standing(): ReadonlyMap<string, LabPod> {
    return this.#pods
  }

  /**
   * Takes away what is no longer so and builds what is new. A pod of the host's network or without an address has no
   * network of its own.
   */
  async become(pods: readonly CasePod[]): Promise<PodDifference> {
    const wanted = new Map(standing(pods).map(pod => [`${pod.ns}/${pod.name}`, pod]))
    const gone = new Map(
      [...this.#pods].filter(([name, pod]) => {
        const now = wanted.get(name)
        return now === undefined || !isSame(pod, now)
      }),
    )
    if (gone.size > 0) await this.#lab.removePods([...gone.values()])
    for (const name of gone.keys()) this.#pods.delete(name)
    const missing = [...wanted].filter(([name]) => !this.#pods.has(name))
    const made =
      missing.length === 0
        ? []
        : await this.#lab.addPods(missing.map(([, pod]) => podRequest(pod, this.#lab.node(pod.node))))
    for (const [index, pod] of made.entries()) this.#pods.set(missing[index]![0], pod)
    return { gone, made: new Map(missing.map(([name], index) => [name, made[index]!])) }
  }
}

/** Whose address another one has, a living pod before a finished one, is not there. */
function standing(pods: readonly CasePod[]): CasePod[] {
  const taken = new Set<string>()
  return [...pods.filter(pod => !isFinished(pod)), ...pods.filter(isFinished)].filter(pod => {
    if (pod.hostNetwork || pod.ips.length === 0 || pod.ips.some(ip => taken.has(ip))) return false
    for (const ip of pod.ips) taken.add(ip)
    return true
  })
}

function isSame(pod: LabPod, now: CasePod): boolean {
  const own = [pod.address4, pod.address6].filter(address => address !== null)
  return (
    pod.name === labName(now) &&
    pod.node.name === now.node &&
    own.length === now.ips.length &&
    own.every(ip => now.ips.includes(ip))
  )
}
