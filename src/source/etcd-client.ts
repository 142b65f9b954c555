import type { Etcd3, IRangeRequest } from 'etcd3'
import { PodfenceError } from '../errors.ts'
import { authenticationIsOff, explainEtcdError, neverSent } from './etcd-errors.ts'
import { checkedEndpoints, clientSettings, DIAL_TIMEOUT_MS, type EtcdOptions } from './etcd-settings.ts'
import { keepLeaseOnce, streamWatch } from './etcd-stream.ts'
import { at, entryOf, headerOf, prefixRange, transactionOf } from './etcd-wire.ts'
import {
  ConditionFailed,
  LeaseGone,
  type Store,
  type StoreEntry,
  type StoreHeader,
  type StorePage,
  type StoreWrite,
  type WatchResponse,
} from './store.ts'

/**
 * The only door to etcd. Opens nothing yet: the first request does, and loads etcd3 (120 ms) then.
 * Throws CONFIG_INVALID on endpoints that cannot be meant. Every request throws STORE_UNREACHABLE or STORE_DENIED.
 */
export function openEtcd(options: EtcdOptions): Store {
  return new EtcdStore(options)
}

function isDenied(error: Error): boolean {
  return error instanceof PodfenceError && error.code === 'STORE_DENIED'
}

class EtcdStore implements Store {
  readonly name: string
  private readonly options: EtcdOptions
  private readonly endpoints: readonly string[]
  /** Which endpoint is in use; the next one takes its turn when it fails. */
  private turn = 0
  private opening: Promise<Etcd3> | null = null
  /** What `opening` has become. */
  private client: Etcd3 | null = null
  /** The password is left out while etcd says that authentication is off. */
  private passwordRefused = false
  private closed = false

  constructor(options: EtcdOptions) {
    this.options = options
    this.endpoints = checkedEndpoints(options)
    this.name = this.endpoints.join(', ')
  }

  async *pages(prefix: string, pageSize: number, signal: AbortSignal): AsyncIterable<StorePage> {
    let { key, range_end } = prefixRange(prefix)
    let revision: bigint | undefined
    for (let more = true; more; ) {
      signal.throwIfAborted()
      const page = await this.range({ key, range_end, limit: pageSize, ...at(revision) })
      const header = headerOf(page.header)
      revision ??= header.revision
      yield { header, revision, entries: page.kvs.map(entryOf) }
      more = page.more && page.kvs.length > 0
      if (more) key = Buffer.concat([page.kvs.at(-1)!.key, Buffer.of(0)])
    }
  }

  async get(key: string, revision?: bigint): Promise<{ header: StoreHeader; entry: StoreEntry | null }> {
    const { header, kvs } = await this.range({ key: Buffer.from(key), ...at(revision) })
    return { header: headerOf(header), entry: kvs[0] ? entryOf(kvs[0]) : null }
  }

  async count(prefix: string, revision: bigint): Promise<number> {
    const { count } = await this.range({ ...prefixRange(prefix), count_only: true, ...at(revision) })
    return Number(count)
  }

  async commit(write: StoreWrite): Promise<bigint> {
    const { header, succeeded } = await this.call(false, client => client.kv.txn(transactionOf(write)))
    if (!succeeded) throw new ConditionFailed('what was to be changed has been changed meanwhile')
    return BigInt(header.revision)
  }

  async grantLease(seconds: number): Promise<string> {
    return (await this.call(true, client => client.leaseClient.leaseGrant({ TTL: seconds }))).ID
  }

  async keepLease(id: string): Promise<void> {
    const kept = await this.call(true, client => keepLeaseOnce(client, id, this.dialTimeout))
    if (!kept) throw new LeaseGone(`lease ${id} has ended`)
  }

  async watch(
    prefix: string,
    from: bigint,
    onResponse: (response: WatchResponse) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const client = await this.connect()
    const range = { ...prefixRange(prefix), start_revision: from.toString() }
    try {
      const reason = await streamWatch(client, range, onResponse, signal, this.dialTimeout)
      // A token that died with the server (or of age) cancels a watch too; a read renews it, or says who is denied.
      if (/permission denied|auth token/.test(reason)) await this.count(prefix, from - 1n)
      return reason
    } catch (error) {
      throw this.failed(client, error)
    }
  }

  close(): void {
    this.closed = true
    this.forget()
  }

  private get dialTimeout(): number {
    return this.options.dialTimeoutMs ?? DIAL_TIMEOUT_MS
  }

  private range(request: IRangeRequest) {
    return this.call(true, client => client.kv.range(request))
  }

  /**
   * Reads go to every endpoint once before they fail. A write goes to another endpoint only when it surely was
   * not sent: where the answer is missing, the caller must know that it may have been done.
   */
  private async call<T>(repeatable: boolean, request: (client: Etcd3) => Promise<T>): Promise<T> {
    for (let left = this.endpoints.length; ; left--) {
      const client = await this.connect()
      try {
        return await request(client)
      } catch (error) {
        const explained = this.failed(client, error)
        if (authenticationIsOff(error) && left > 0) continue
        const unreachable = explained instanceof PodfenceError && explained.code === 'STORE_UNREACHABLE'
        if (left <= 1 || !unreachable || !(repeatable || neverSent(error))) throw explained
      }
    }
  }

  /** Explains the error; after a failure of the connection all is made anew: endpoint, channel, back-off, token. */
  private failed(client: Etcd3, error: unknown): Error {
    const explained = explainEtcdError(error, this.name)
    const unreachable = explained instanceof PodfenceError && explained.code === 'STORE_UNREACHABLE'
    // A late failure of a client that was given up already says nothing about the present one.
    if (unreachable && client === this.client) {
      this.passwordRefused = authenticationIsOff(error)
      if (!this.passwordRefused) this.turn += 1
      this.forget()
    } else if (this.passwordRefused && client === this.client && isDenied(explained)) {
      // Authentication was switched on since; the next request shows the password again.
      this.passwordRefused = false
      this.forget()
    }
    return explained
  }

  private connect(): Promise<Etcd3> {
    this.opening ??= this.open()
    return this.opening
  }

  private async open(): Promise<Etcd3> {
    try {
      if (this.closed) throw new PodfenceError('STORE_UNREACHABLE', `etcd at ${this.name}: closed by us`)
      const endpoint = this.endpoints[this.turn % this.endpoints.length]!
      const settings = clientSettings(this.options, endpoint, !this.passwordRefused)
      const { Etcd3 } = await import('etcd3')
      this.client = new Etcd3(settings)
      return this.client
    } catch (error) {
      this.opening = null
      throw error
    }
  }

  private forget(): void {
    this.client?.close()
    this.client = null
    this.opening = null
  }
}
