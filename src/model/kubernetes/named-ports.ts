import type { Protocol } from './policy-port.ts'

/** A container's port with a name. */
export interface NamedPort {
  /** `tcp.http` */
  readonly name: string
  readonly number: number
}

/** A named port as policies ask for it: of the pods of one namespace, or of any (null). */
export type PortReference = string

export function portReference(namespace: string | null, protocol: Protocol, name: string): PortReference {
  return `${namespace ?? ''}/${protocol}.${name}`
}

/** Which numbers pods have under the name of a port. */
export class NamedPorts {
  /** How many pods have each number. */
  readonly #pods = new Map<PortReference, Map<number, number>>()

  /** In ascending order. */
  numbers(reference: PortReference): readonly number[] {
    return [...(this.#pods.get(reference)?.keys() ?? [])].sort((left, right) => left - right)
  }

  /** A pod of `namespace` comes with these ports. Returns the references that have a number more. */
  add(namespace: string, ports: readonly NamedPort[]): PortReference[] {
    return references(namespace, ports)
      .filter(([reference, number]) => this.#count(reference, number, 1))
      .map(first)
  }

  /** Such a pod goes. Returns the references that have a number less. */
  remove(namespace: string, ports: readonly NamedPort[]): PortReference[] {
    return references(namespace, ports)
      .filter(([reference, number]) => this.#count(reference, number, -1))
      .map(first)
  }

  /** Whether the numbers of the reference are others now. */
  #count(reference: PortReference, number: number, by: 1 | -1): boolean {
    let pods = this.#pods.get(reference)
    if (pods === undefined) {
      pods = new Map()
      this.#pods.set(reference, pods)
    }
    const count = (pods.get(number) ?? 0) + by
    if (count > 0) {
      pods.set(number, count)
      return count === 1 && by === 1
    }
    pods.delete(number)
    if (pods.size === 0) this.#pods.delete(reference)
    return true
  }
}

function references(namespace: string, ports: readonly NamedPort[]): (readonly [PortReference, number])[] {
  return ports.flatMap(({ name, number }) => [
    [`/${name}`, number] as const,
    [`${namespace}/${name}`, number] as const,
  ])
}

function first([reference]: readonly [PortReference, number]): PortReference {
  return reference
}
