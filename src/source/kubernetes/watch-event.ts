import { HistoryGone } from '../store.ts'
import { type SeenObject, seenObject } from './object.ts'
import type { WatchedResource } from './watched.ts'

export type ObjectEvent =
  | { readonly kind: 'stands' | 'gone'; readonly version: string; readonly object: SeenObject }
  /** Nothing but the version up to which everything was told. */
  | { readonly kind: 'bookmark'; readonly version: string }

/**
 * A line of a watch. Throws HistoryGone for every line after which only a new listing helps: an error event of the
 * server, and what cannot be read, since the change in it is lost.
 */
export function readEvent(resource: WatchedResource, line: string): ObjectEvent {
  try {
    const { type, object } = JSON.parse(line)
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED': {
        const seen = seenObject(resource, object)
        return { kind: type === 'DELETED' ? 'gone' : 'stands', version: seen.mark.version, object: seen }
      }
      case 'BOOKMARK': {
        const version = object?.metadata?.resourceVersion
        if (typeof version !== 'string' || version === '') throw new Error('a bookmark without a version')
        return { kind: 'bookmark', version }
      }
      case 'ERROR': {
        const { code = '', reason = '', message = '' } = object ?? {}
        throw new HistoryGone(`the watch of ${resource} ended: ${code} ${reason}: ${message}`)
      }
      default:
        throw new Error(`an event of the unknown type ${JSON.stringify(type)}`)
    }
  } catch (error) {
    if (error instanceof HistoryGone) throw error
    const shown = JSON.stringify(line.slice(0, 60))
    throw new HistoryGone(`the watch of ${resource} told ${shown}: ${(error as Error).message}`)
  }
}
