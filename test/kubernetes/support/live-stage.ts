import type { Test } from 'tap'
import type { LabPod } from '../../../src/lab/pod.ts'
import { moment } from '../../../src/lab/probe.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Variant } from '../../stage.ts'
import type { Cluster } from './cluster.ts'
import { type PodWords, podObject, podStatus } from './objects.ts'

/** What a change makes of a connection that is tried anew. */
export interface Meeting {
  readonly from: LabPod
  readonly to: LabPod
  readonly port: number
  readonly open: boolean
}

const PATIENCE_MS = 20_000

/** Pods of a laboratory that stand in a real cluster. */
export class LiveStage {
  readonly #t: Test
  readonly #stage: Stage
  readonly #variant: Variant
  readonly #cluster: Cluster

  constructor(t: Test, stage: Stage, variant: Variant, cluster: Cluster) {
    this.#t = t
    this.#stage = stage
    this.#variant = variant
    this.#cluster = cluster
  }

  /** The pod `NAMESPACE/NAME` runs where this one of the laboratory stands, with its addresses. */
  async run(id: string, place: LabPod, words: Omit<PodWords, 'node'> = {}): Promise<void> {
    const { admin } = this.#cluster
    await admin.create(podObject(id, { ...words, node: place.node.name }))
    await admin.patch('Pod', id, podStatus(addressesOf(place)), 'status')
  }

  /** Waits until every agent is in sync and says that it enforces as many endpoints as its node has pods. */
  async enforced(pods: Readonly<Record<string, number>>): Promise<void> {
    for (const [node, count] of Object.entries(pods)) {
      const began = moment()
      for (;;) {
        const status = await this.#stage.status(node).catch(() => null)
        const states = status?.endpoints.filter(({ state }) => state === 'enforced') ?? []
        if (status?.sync.inSync && states.length === count) break
        if (moment() - began > PATIENCE_MS)
          throw new Error(
            `${node} enforces ${states.length} of ${count} pods: ${JSON.stringify(status?.endpoints)}\n${this.#stage.agents.get(node)?.log().slice(-2000)}`,
          )
        await new Promise(resolve => setTimeout(resolve, 25))
      }
    }
  }

  /** Makes a change and fails unless every new connection meets it within a second of the API's answer. */
  async soon(title: string, change: () => Promise<unknown>, meetings: readonly Meeting[]): Promise<void> {
    await change()
    const began = moment()
    const each = meetings.flatMap(meeting =>
      this.#variant.families.map(family => this.#met(meeting, family, began)),
    )
    const took = await Promise.all(each)
    const slowest = Math.round(Math.max(0, ...took.map(({ ms }) => ms)))
    const wrong = took.flatMap(({ wrong }) => wrong ?? [])
    this.#t.same(wrong, [], title)
    this.#t.ok(slowest <= 1000, `${title}: seen by packets within a second`)
    this.#t.comment(`${title}: seen by packets after ${slowest} ms`)
  }

  /** When the first connection that ends as it should was begun, after `since`. */
  async #met({ from, to, port, open }: Meeting, family: 4 | 6, since: number) {
    const { probe } = this.#stage.lab
    const address = family === 4 ? to.address4 : to.address6
    for (;;) {
      const began = moment()
      const { outcome } = await probe.tcp(from, { address: address!, port })
      if (open ? outcome === 'open' : outcome === 'timeout' || outcome === 'unreachable')
        return { ms: Math.max(0, began - since), wrong: null }
      if (began - since > PATIENCE_MS)
        return {
          ms: began - since,
          wrong: `${from.name} -> ${to.name} ${port} IPv${family}: ${open ? 'open' : 'dropped'} expected, ${outcome}`,
        }
      // A machine that is refused answers at once.
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }
}

export function addressesOf({ address4, address6 }: LabPod): string[] {
  return [address4, address6].flatMap(address => address ?? [])
}
