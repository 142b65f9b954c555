import type { Feed, Listing, WatchObserver } from '../list-then-watch.ts'
import { HistoryGone } from '../store.ts'
import { AnswerTooLong } from './answer.ts'
import type { KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { Digests } from './digests.ts'
import { listAll } from './listing.ts'
import { type RoundOptions, WatchRound } from './watch-round.ts'
import {
  isOlder,
  type KubernetesPosition,
  revisionText,
  WATCHED,
  type WatchedResource,
  type Witness,
} from './watched.ts'

export interface FeedOptions extends RoundOptions {
  readonly pageSize: number
}

/** Namespaces, NetworkPolicies and pods as one store: listed one after the other, watched side by side. */
export class KubernetesFeed implements Feed<KubernetesPosition> {
  readonly name: string
  private readonly api: KubernetesApi
  private readonly options: FeedOptions
  private pageSize: number
  /** Of everything told since the last listing; most changes of a pod change nothing of what is told of it. */
  private told = new Digests()

  constructor(name: string, api: KubernetesApi, options: FeedOptions) {
    this.name = name
    this.api = api
    this.options = options
    this.pageSize = options.pageSize
  }

  async list(signal: AbortSignal): Promise<Listing<KubernetesPosition>> {
    try {
      return await this.listAt(this.pageSize, signal)
    } catch (error) {
      const tooLong = error instanceof ApiError && error.cause instanceof AnswerTooLong
      if (!tooLong || this.pageSize === 1) throw error
      this.pageSize = Math.ceil(this.pageSize / 4)
      return await this.list(signal)
    }
  }

  async watch(
    from: KubernetesPosition,
    observer: WatchObserver<KubernetesPosition>,
    signal: AbortSignal,
  ): Promise<string> {
    try {
      return await new WatchRound(this.api, this.options, this.told, from, observer).run(signal)
    } catch (error) {
      if (error instanceof HistoryGone) return error.message
      throw error
    }
  }

  private async listAt(pageSize: number, signal: AbortSignal): Promise<Listing<KubernetesPosition>> {
    const entries = new Map<string, string>()
    const told = new Digests()
    const versions = {} as Record<WatchedResource, string>
    let witness: Witness | null = null
    for (const resource of WATCHED)
      for await (const page of listAll(this.api, resource, pageSize, signal)) {
        versions[resource] = page.version
        for (const { key, text, mark } of page.objects) {
          entries.set(key, text)
          told.isNew(key, text)
          if (witness === null || isOlder(witness.version, mark.version)) witness = mark
        }
      }
    // What a listing that was given up still finds must not become the memory of the next one.
    signal.throwIfAborted()
    this.told = told
    return { entries, revision: revisionText(versions), position: { versions, witness } }
  }
}
