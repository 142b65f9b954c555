import type { KeyChange } from '../event.ts'
import type { WatchObserver } from '../list-then-watch.ts'
import { HistoryGone } from '../store.ts'
import type { KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { apiPath } from './api-path.ts'
import type { Digests } from './digests.ts'
import { LineTooLong } from './json-lines.ts'
import { findOne, versionNow } from './listing.ts'
import { Pulse, type PulseOptions } from './pulse.ts'
import { readEvent } from './watch-event.ts'
import {
  API_RESOURCES,
  isOlder,
  type KubernetesPosition,
  revisionText,
  SELECTORS,
  WATCHED,
  type WatchedResource,
} from './watched.ts'

export interface RoundOptions extends PulseOptions {
  /** When the server ends a watch; up to a quarter more, so that not all watches of a cluster open anew at once. */
  readonly watchSeconds: number
}

/** Watches that tell nothing and end this soon, so many in a row, would be opened again and again without rest. */
const SHORTEST_WATCH_MS = 1_000
const SHORT_WATCHES = 3

/**
 * The watches of all kinds, side by side, from one position until something breaks. A watch that merely ends, as the
 * server ends every one after some minutes, is opened again at once.
 *
 * A store that was wiped or restored from a backup counts from a lower version, and the API server says nothing to a
 * watch from a version that it has not reached, not even bookmarks. So before a watch is opened the version is compared,
 * and before the first of a round also the last object seen, for a store that counts fast.
 */
export class WatchRound {
  private readonly api: KubernetesApi
  private readonly options: RoundOptions
  private readonly told: Digests
  private readonly observer: WatchObserver<KubernetesPosition>
  private readonly pulse: Pulse
  private readonly open = new Set<WatchedResource>()
  private position: KubernetesPosition

  constructor(
    api: KubernetesApi,
    options: RoundOptions,
    told: Digests,
    from: KubernetesPosition,
    observer: WatchObserver<KubernetesPosition>,
  ) {
    this.api = api
    this.options = options
    this.told = told
    this.position = from
    this.observer = observer
    this.pulse = new Pulse(api, options)
  }

  /** Throws HistoryGone when only a new listing helps, and the failure when the connection broke or `signal` aborted. */
  async run(signal: AbortSignal): Promise<never> {
    const over = new AbortController()
    const ended = AbortSignal.any([signal, over.signal])
    try {
      await this.findWitness(ended)
      return await Promise.race([
        ...WATCHED.map(resource => this.follow(resource, ended)),
        this.pulse.watch(ended),
      ])
    } finally {
      over.abort()
    }
  }

  /** One kind, watch after watch. */
  private async follow(resource: WatchedResource, signal: AbortSignal): Promise<never> {
    let short = 0
    while (short < SHORT_WATCHES) {
      const from = this.position.versions[resource]
      const now = await versionNow(this.api, resource, signal)
      if (isOlder(now, from)) throw new HistoryGone(`${resource} are at version ${now}, before ${from}`)
      const began = performance.now()
      const worthwhile = await this.watch(resource, from, signal)
      short = worthwhile || performance.now() - began > SHORTEST_WATCH_MS ? 0 : short + 1
    }
    throw new Error(`Kubernetes API at ${this.api.name}: watches of ${resource} end as soon as they begin`)
  }

  /** One watch until its end. Resolves with whether it told anything, or was silent for long. */
  private async watch(resource: WatchedResource, from: string, signal: AbortSignal): Promise<boolean> {
    const path = apiPath(
      API_RESOURCES[resource],
      {},
      {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: from,
        timeoutSeconds: Math.ceil(this.options.watchSeconds * (1 + Math.random() / 4)),
        fieldSelector: SELECTORS[resource],
      },
    )
    let heard = false
    const listener = {
      opened: () => {
        this.pulse.heard()
        if (!signal.aborted) this.opened(resource)
      },
      lines: (lines: readonly string[]) => {
        heard = true
        this.pulse.heard()
        if (!signal.aborted) this.take(resource, lines)
      },
    }
    try {
      return (await this.api.stream(path, listener, { signal })) === 'silent' || heard
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.cause instanceof LineTooLong) throw new HistoryGone(`${resource}: ${error.cause.message}`)
      throw error.status === 410 ? new HistoryGone(error.message) : error
    }
  }

  private opened(resource: WatchedResource): void {
    if (this.open.has(resource)) return
    this.open.add(resource)
    if (this.open.size === WATCHED.length) this.observer.established()
  }

  /** What came together is told together, also when its last line is of no use. */
  private take(resource: WatchedResource, lines: readonly string[]): void {
    const changes: KeyChange[] = []
    let { versions, witness } = this.position
    try {
      for (const line of lines) {
        const event = readEvent(resource, line)
        if (isOlder(event.version, versions[resource]))
          throw new HistoryGone(
            `${resource} went back from version ${versions[resource]} to ${event.version}`,
          )
        versions = { ...versions, [resource]: event.version }
        if (event.kind === 'bookmark') continue
        const { key, text, mark } = event.object
        const value = event.kind === 'gone' ? null : text
        if (value !== null) witness = mark
        else if (witness?.uid === mark.uid) witness = null
        if (this.told.isNew(key, value)) changes.push({ key, value })
      }
    } finally {
      this.position = { versions, witness }
      this.observer.moved(this.position, revisionText(versions), changes)
    }
  }

  /** Throws HistoryGone when the last object seen is not there any more, or is older than it was. */
  private async findWitness(signal: AbortSignal): Promise<void> {
    const { witness } = this.position
    if (witness === null) return
    const { resource, namespace, name, uid, version } = witness
    const found = await findOne(this.api, resource, namespace, name, signal)
    if (found === null)
      throw new HistoryGone(`${resource} ${name} is gone, and it cannot be told whether in the same history`)
    const rewritten = found.mark.version === version && !this.told.has(found.key, found.text)
    if (found.mark.uid !== uid || isOlder(found.mark.version, version) || rewritten)
      throw new HistoryGone(`${resource} ${name} has another history than was seen`)
  }
}
