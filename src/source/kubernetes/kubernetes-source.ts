import type { Source, SourceEvent } from '../event.ts'
import { ListThenWatch } from '../list-then-watch.ts'
import { backOff, type Pace } from '../pace.ts'
import type { KubernetesApi } from './api.ts'
import { type FeedOptions, KubernetesFeed } from './feed.ts'
import type { KubernetesPosition } from './watched.ts'

export interface KubernetesSourceOptions extends Partial<FeedOptions> {
  readonly pace?: Pace
}

const FEED: FeedOptions = {
  /** Some megabytes a page, since pods come with much that is dropped here. */
  pageSize: 250,
  watchSeconds: 220,
  quietMs: 10_000,
  answerMs: 5_000,
}

/** Watches namespaces, NetworkPolicies and pods of a Kubernetes API. The API stays the caller's to close. */
export class KubernetesSource implements Source {
  readonly name: string
  private readonly loop: ListThenWatch<KubernetesPosition>

  constructor(api: KubernetesApi, options: KubernetesSourceOptions = {}) {
    const { pace = backOff, ...feed } = options
    this.name = `kubernetes ${api.name}`
    this.loop = new ListThenWatch(new KubernetesFeed(this.name, api, { ...FEED, ...feed }), pace)
  }

  run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    return this.loop.run(emit, signal)
  }

  relist(reason: string): void {
    this.loop.relist(reason)
  }
}
