import { readFileSync } from 'node:fs'
import { PodfenceError } from '../errors.ts'
import type { PodAttachment } from '../model/kubernetes/pod-attachment.ts'
import { CniFailure } from '../runtime/cni/failure.ts'
import { openEtcd } from '../source/etcd-client.ts'
import { ConditionFailed, type Store, type StoreEntry } from '../source/store.ts'
import { attachedBy, attachedValue, detachedValue, endpointKey, podPrefix } from './etcd-endpoint.ts'
import type { EtcdConfig } from './network-config.ts'

/** So often may others get in between a read and the write after it. */
const MOST_TRIES = 20
const PAGE_SIZE = 500

/**
 * This host's pods in etcd, for one piece of work. Nothing else of the tree is read or written, so that is all the right
 * that the plugin needs. Throws CniFailure, TRY_AGAIN where etcd cannot be reached.
 */
export async function withEtcd<Result>(
  config: EtcdConfig,
  host: string,
  patience: number,
  work: (tree: EtcdTree) => Promise<Result>,
): Promise<Result> {
  try {
    const store = openEtcd({ ...optionsOf(config), requestTimeoutMs: patience, dialTimeoutMs: patience })
    try {
      return await work(new EtcdTree(store, host))
    } finally {
      store.close()
    }
  } catch (error) {
    if (!(error instanceof PodfenceError)) throw error
    const { code, message, next } = error
    throw new CniFailure(code === 'STORE_UNREACHABLE' ? 'TRY_AGAIN' : 'INVALID_CONFIG', message, next)
  }
}

export class EtcdTree {
  readonly #store: Pick<Store, 'get' | 'pages' | 'commit'>
  readonly #host: string

  constructor(store: Pick<Store, 'get' | 'pages' | 'commit'>, host: string) {
    this.#store = store
    this.#host = host
  }

  /** Writes the attachment into the pod's endpoint, which it makes when there is none. */
  async attach(pod: string, attachment: PodAttachment, network: string): Promise<void> {
    const key = endpointKey(this.#host, pod)
    await this.#change(key, entry => attachedValue(entry?.value ?? null, attachment, network))
  }

  /** Takes what it was attached with from the pod's endpoint, or all of it, unless another sandbox has it by now. */
  async detach(pod: string, sandbox: string): Promise<void> {
    await this.#change(endpointKey(this.#host, pod), entry => {
      if (entry === null) return undefined
      const owner = attachedBy(entry.value).sandbox
      return owner === null || owner === sandbox ? detachedValue(entry.value, sandbox) : undefined
    })
  }

  /** Does so with the endpoints of `network` whose sandbox is none of these. */
  async collect(network: string, sandboxes: readonly string[]): Promise<void> {
    const valid = new Set(sandboxes)
    const stale = ({ value }: StoreEntry) => {
      const by = attachedBy(value)
      return by.network === network && by.sandbox !== null && !valid.has(by.sandbox)
    }
    const signal = new AbortController().signal
    for await (const { entries } of this.#store.pages(podPrefix(this.#host), PAGE_SIZE, signal))
      for (const { key } of entries.filter(stale))
        await this.#change(key, entry =>
          entry !== null && stale(entry)
            ? detachedValue(entry.value, attachedBy(entry.value).sandbox!)
            : undefined,
        )
  }

  /** Writes what `next` makes of a key's entry: another value, none (null), or nothing (undefined), whoever else writes. */
  async #change(key: string, next: (entry: StoreEntry | null) => string | null | undefined): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { entry } = await this.#store.get(key)
      const value = next(entry)
      if (value === undefined || value === (entry?.value ?? null)) return
      const conditions = [{ key, modRevision: entry?.modRevision ?? 0n }]
      try {
        await this.#store.commit({
          conditions,
          ...(value === null ? { deletes: [key] } : { puts: [{ key, value }] }),
        })
        return
      } catch (error) {
        if (!(error instanceof ConditionFailed)) throw error
      }
    }
    throw new CniFailure('TRY_AGAIN', `${key} is written to by others again and again.`)
  }
}

function optionsOf({ passwordFile, ...options }: EtcdConfig) {
  if (passwordFile === undefined) return options
  try {
    // An editor's last line break is no part of the password.
    return { ...options, password: readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    const message = `etcd_password_file cannot be read: ${(error as Error).message}.`
    throw new CniFailure('INVALID_CONFIG', message)
  }
}
