import { isUtf8 } from 'node:buffer'
import type { IEvent, IKeyValue, IResponseHeader, ITxnRequest, IWatchResponse } from 'etcd3'
import { refused } from './event.ts'
import type { StoreEntry, StoreHeader, StoreWrite, WatchResponse } from './store.ts'

/** Between etcd's messages and our values. */

export function headerOf(header: IResponseHeader): StoreHeader {
  return {
    clusterId: header.cluster_id,
    revision: BigInt(header.revision),
    term: BigInt(header.raft_term),
  }
}

/** A value that is not UTF-8 becomes one that every decoder refuses. A key that is not keeps a mark no id admits. */
export function entryOf(kv: IKeyValue): StoreEntry {
  return {
    key: kv.key.toString('utf8'),
    value: isUtf8(kv.value) ? kv.value.toString('utf8') : refused('the value is not UTF-8'),
    modRevision: BigInt(kv.mod_revision),
    createRevision: BigInt(kv.create_revision),
    version: BigInt(kv.version),
  }
}

export function responseOf(response: IWatchResponse): WatchResponse {
  return {
    header: headerOf(response.header),
    created: response.created,
    events: response.events.map(event => ({ ...entryOf(event.kv), gone: isDelete(event) })),
  }
}

/** The declared type is a number; what arrives is the enum's name, and its case is etcd3's own. */
function isDelete(event: IEvent): boolean {
  return String(event.type).toLowerCase() === 'delete' || Number(event.type) === 1
}

export function transactionOf(write: StoreWrite): ITxnRequest {
  return {
    compare: (write.conditions ?? []).map(({ key, modRevision }) => ({
      key: Buffer.from(key),
      target: 'Mod' as const,
      result: 'Equal' as const,
      mod_revision: modRevision.toString(),
    })),
    success: [
      ...(write.deletePrefixes ?? []).map(prefix => ({ request_delete_range: prefixRange(prefix) })),
      ...(write.deletes ?? []).map(key => ({ request_delete_range: { key: Buffer.from(key) } })),
      ...(write.puts ?? []).map(({ key, value, lease }) => ({
        request_put: { key: Buffer.from(key), value: Buffer.from(value), ...(lease ? { lease } : {}) },
      })),
    ],
  }
}

/** The range of all keys that start so: up to the prefix with its last byte (below 0xff in text) raised by one. */
export function prefixRange(prefix: string): { key: Buffer; range_end: Buffer } {
  const key = Buffer.from(prefix)
  const range_end = Buffer.from(key)
  const last = range_end.length - 1
  range_end[last] = range_end[last]! + 1
  return { key, range_end }
}

/** The field that asks for an old revision. */
export function at(revision: bigint | undefined): { revision?: string } {
  return revision === undefined ? {} : { revision: revision.toString() }
}
