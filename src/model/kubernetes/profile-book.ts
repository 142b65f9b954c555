import type { PodProfile } from './pod-profile.ts'

interface Use {
  profile: PodProfile
  pods: number
}

/** The profiles that pods use, shared or not. */
export class ProfileBook {
  readonly #uses = new Map<string, Use>()
  readonly #byPod = new Map<string, string>()
  readonly #byNamespace = new Map<string, Set<string>>()

  get(id: string): PodProfile | undefined {
    return this.#uses.get(id)?.profile
  }

  ofNamespace(namespace: string): Iterable<string> {
    return this.#byNamespace.get(namespace) ?? []
  }

  /** A pod uses this profile now (null: none). Returns the ids of profiles that may have come, gone or changed. */
  use(pod: string, profile: PodProfile | null): string[] {
    const touched: string[] = []
    const before = this.#byPod.get(pod)
    if (profile !== null) {
      const use = this.#uses.get(profile.id)
      if (use === undefined) this.#begin(profile)
      else if (before !== profile.id) use.pods++
      // Equal for all who share it; another one for a pod that has it for itself.
      if (use === undefined || profile.tags !== null) touched.push(profile.id)
      if (use !== undefined) use.profile = profile
      this.#byPod.set(pod, profile.id)
    } else this.#byPod.delete(pod)
    if (before !== undefined && before !== profile?.id && this.#end(before)) touched.push(before)
    return touched
  }

  #begin(profile: PodProfile): void {
    this.#uses.set(profile.id, { profile, pods: 1 })
    const own = this.#byNamespace.get(profile.namespace) ?? new Set<string>()
    this.#byNamespace.set(profile.namespace, own.add(profile.id))
  }

  /** True when nobody uses it any more. */
  #end(id: string): boolean {
    const use = this.#uses.get(id)!
    use.pods--
    if (use.pods > 0) return false
    this.#uses.delete(id)
    const { namespace } = use.profile
    const own = this.#byNamespace.get(namespace)!
    own.delete(id)
    if (own.size === 0) this.#byNamespace.delete(namespace)
    return true
  }
}
