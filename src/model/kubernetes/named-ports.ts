import type { Pod } from './pod.ts'

/** Which numbers the pods with an endpoint have under each port label, in each namespace. */
export class NamedPorts {
  /** label → namespace → number → pods */
  readonly #counts = new Map<string, Map<string, Map<string, number>>>()

  /** The numbers of one namespace (null: of all), ascending. */
  numbers(label: string, namespace: string | null): string[] {
    const spaces = this.#counts.get(label)
    if (spaces === undefined) return []
    const counted = namespace === null ? [...spaces.values()] : [spaces.get(namespace) ?? new Map()]
    const numbers = new Set<string>(counted.flatMap(counts => [...counts.keys()]))
    return [...numbers].sort((a, b) => Number(a) - Number(b))
  }

  /** Takes a pod in the place of what it was (null: absent). Returns the labels whose numbers changed somewhere. */
  replace(before: Pod | null, after: Pod | null): Set<string> {
    const changed = new Set<string>()
    for (const [pod, step] of [
      [after, 1],
      [before, -1],
    ] as const) {
      if (pod === null || pod.node === null) continue
      for (const [label, number] of pod.ports)
        if (this.#count(label, pod.namespace, number, step)) changed.add(label)
    }
    return changed
  }

  /** True when the number has come or gone. */
  #count(label: string, namespace: string, number: string, step: 1 | -1): boolean {
    const spaces = this.#counts.get(label) ?? new Map<string, Map<string, number>>()
    const counts = spaces.get(namespace) ?? new Map<string, number>()
    const count = (counts.get(number) ?? 0) + step
    if (count === 0) counts.delete(number)
    else counts.set(number, count)
    if (counts.size === 0) spaces.delete(namespace)
    else spaces.set(namespace, counts)
    if (spaces.size === 0) this.#counts.delete(label)
    else this.#counts.set(label, spaces)
    return count === 0 || (count === 1 && step === 1)
  }
}
