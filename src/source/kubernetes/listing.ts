import { HistoryGone } from '../store.ts'
import type { KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { apiPath } from './api-path.ts'
import { type SeenObject, seenObject } from './object.ts'
import { API_RESOURCES, SELECTORS, type WatchedResource } from './watched.ts'

export interface ObjectPage {
  /** The version at which all pages of the listing are. */
  readonly version: string
  readonly objects: readonly SeenObject[]
}

/**
 * All objects of one kind, page by page. Throws HistoryGone when their version is forgotten before the last page
 * (410 Gone), and ApiError; its cause is AnswerTooLong when a page is too large.
 */
export async function* listAll(
  api: KubernetesApi,
  resource: WatchedResource,
  pageSize: number,
  signal: AbortSignal,
): AsyncIterable<ObjectPage> {
  let version: string | null = null
  for (let token: string | null = ''; token !== null; ) {
    const page: ListAnswer = await pageAt(api, resource, pageSize, token, signal)
    version ??= page.version
    token = page.next
    yield { version, objects: page.items.map(item => seenObject(resource, item)) }
  }
}

/** The version that a kind has now, at the price of one object. */
export async function versionNow(
  api: KubernetesApi,
  resource: WatchedResource,
  signal: AbortSignal,
): Promise<string> {
  return (await pageAt(api, resource, 1, '', signal)).version
}

/** One object, or null. A list of one, since a watcher may have no right to `get`. */
export async function findOne(
  api: KubernetesApi,
  resource: WatchedResource,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<SeenObject | null> {
  const path = apiPath(API_RESOURCES[resource], { namespace }, { fieldSelector: `metadata.name=${name}` })
  const [item] = listAnswer(await api.get(path, { signal }), resource).items
  return item === undefined ? null : seenObject(resource, item)
}

interface ListAnswer {
  readonly version: string
  readonly items: readonly unknown[]
  readonly next: string | null
}

async function pageAt(
  api: KubernetesApi,
  resource: WatchedResource,
  limit: number,
  token: string,
  signal: AbortSignal,
): Promise<ListAnswer> {
  const query = { limit, fieldSelector: SELECTORS[resource], continue: token || undefined }
  try {
    return listAnswer(await api.get(apiPath(API_RESOURCES[resource], {}, query), { signal }), resource)
  } catch (error) {
    if (error instanceof ApiError && error.status === 410)
      throw new HistoryGone(`the list of ${resource} expired before its last page`)
    throw error
  }
}

function listAnswer(answer: unknown, resource: WatchedResource): ListAnswer {
  const { metadata, items } = (answer ?? {}) as {
    readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown }
    readonly items?: unknown
  }
  const { resourceVersion: version, continue: next } = metadata ?? {}
  if (typeof version !== 'string' || version === '')
    throw new Error(`a list of ${resource} without a version`)
  // Go writes an empty list as null.
  if (items !== null && !Array.isArray(items)) throw new Error(`a list of ${resource} without items`)
  return { version, items: items ?? [], next: typeof next === 'string' && next !== '' ? next : null }
}
