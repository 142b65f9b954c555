import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import https, { type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { objectKey } from '../../../src/source/kubernetes/object-key.ts'
import { trimObject } from '../../../src/source/kubernetes/trim.ts'
import { WATCHED } from '../../../src/source/kubernetes/watched.ts'

export interface ApiObject {
  apiVersion?: string
  kind?: string
  metadata: {
    name: string
    namespace?: string
    uid?: string
    resourceVersion?: string
    [more: string]: unknown
  }
  spec?: Record<string, unknown>
  status?: Record<string, unknown>
  [more: string]: unknown
}

interface Change {
  readonly version: number
  readonly plural: string
  readonly before: ApiObject | null
  readonly after: ApiObject | null
}

interface Watcher {
  readonly plural: string
  readonly from: number
  readonly selected: (object: ApiObject) => boolean
  readonly response: ServerResponse
}

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string
  readonly body: unknown
}

const PATH = /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/[^/]))?\/([a-z]+)(?:\/([^/]+))?$/

/** As much of a Kubernetes API server as a client can tell apart, with faults at hand. Ends with the test. */
export class FakeApiServer {
  /** What was asked, in order. */
  readonly requests: SeenRequest[] = []
  /** The bearer token wanted; null: none. */
  token: string | null = null
  /** Answers the next requests that it is given, instead of us, as long as it returns true. */
  intercept: (request: SeenRequest, response: ServerResponse) => boolean = () => false
  /** Awaited before a request is looked at. */
  before: (request: SeenRequest) => Promise<void> = async () => undefined
  /** How a line goes out; several writes are several chunks. */
  chunks: (line: string) => readonly (string | Buffer)[] = line => [line]
  version = 100
  private objects = new Map<string, ApiObject>()
  private history: Change[] = []
  /** Versions before this are forgotten. */
  private oldest = 0
  private listings = new Map<string, ApiObject[]>()
  private watchers = new Set<Watcher>()
  private frozen: (() => void)[] | null = null
  private refusing = false
  private readonly server: Server
  private readonly secure: boolean
  private uids = 0

  private constructor(tls: ServerOptions | null) {
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.answer(request, response)
    this.secure = tls !== null
    this.server = tls === null ? createServer(answer) : https.createServer(tls, answer)
    this.server.on('connection', socket => {
      if (this.refusing) socket.destroy()
    })
  }

  static async start(t: Test, tls: ServerOptions | null = null): Promise<FakeApiServer> {
    const fake = new FakeApiServer(tls)
    await new Promise<void>(resolve => fake.server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      fake.server.closeAllConnections()
      return new Promise(resolve => fake.server.close(resolve))
    })
    return fake
  }

  get url(): string {
    return `${this.secure ? 'https' : 'http'}://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  get watching(): number {
    return this.watchers.size
  }

  /** Creates or replaces an object; keeps its uid. */
  put(plural: string, object: ApiObject): ApiObject {
    const key = keyOf(plural, object.metadata.namespace, object.metadata.name)
    const before = this.objects.get(key) ?? null
    this.version += 1
    const uid = object.metadata.uid ?? before?.metadata.uid ?? `uid-${++this.uids}`
    const after = {
      ...object,
      metadata: { ...object.metadata, uid, resourceVersion: String(this.version) },
    }
    this.objects.set(key, after)
    this.tell({ version: this.version, plural, before, after })
    return after
  }

  remove(plural: string, namespace: string, name: string): void {
    const key = keyOf(plural, namespace, name)
    const before = this.objects.get(key)
    if (before === undefined) throw new Error(`${key} is not there`)
    this.version += 1
    this.objects.delete(key)
    this.tell({ version: this.version, plural, before, after: null })
  }

  /** Removes an object, if it is there. */
  discard(plural: string, namespace: string, name: string): void {
    if (this.objects.has(keyOf(plural, namespace, name))) this.remove(plural, namespace, name)
  }

  /** What a source must have told in the end. */
  entries(): Map<string, string> {
    const entries = new Map<string, string>()
    for (const resource of WATCHED)
      for (const object of this.all(resource))
        if (isLive(object))
          entries.set(
            objectKey(resource, object.metadata.namespace ?? '', object.metadata.name),
            trimObject(resource, object),
          )
    return entries
  }

  /** Ends all watches as a server does after `timeoutSeconds`. */
  endWatches(): void {
    for (const { response } of this.watchers) response.end()
    this.watchers.clear()
  }

  bookmark(): void {
    for (const { plural, from, response } of this.watchers)
      if (this.version > from)
        this.say(response, {
          type: 'BOOKMARK',
          object: { kind: plural, metadata: { resourceVersion: String(this.version) } },
        })
  }

  /** A line of anybody's making for every watch of `plural`. */
  shout(plural: string, line: string): void {
    for (const watcher of this.watchers) if (watcher.plural === plural) watcher.response.write(line)
  }

  /** All connections are gone at once. */
  cut(): void {
    this.watchers.clear()
    this.server.closeAllConnections()
  }

  /** An object changes, and the connection breaks in the middle of saying so. */
  cutWithin(plural: string, object: ApiObject): void {
    const chunks = this.chunks
    this.chunks = line => [line.slice(0, line.length / 2)]
    this.put(plural, object)
    this.chunks = chunks
    for (const { response } of this.watchers) response.socket?.destroySoon()
    this.watchers.clear()
  }

  /** Connections are accepted and nothing is answered. */
  freeze(): void {
    this.frozen ??= []
  }

  thaw(): void {
    const waiting = this.frozen ?? []
    this.frozen = null
    for (const resume of waiting) resume()
  }

  refuse(): void {
    this.refusing = true
    this.cut()
  }

  accept(): void {
    this.refusing = false
  }

  /** Forgets all history: listings under way and watches from before cannot go on. */
  compact(): void {
    this.oldest = this.version
    this.history = []
    this.listings.clear()
  }

  /** A backup is restored: other objects, an older version; whoever was connected is not any more. */
  restore(version: number, objects: readonly (readonly [plural: string, object: ApiObject])[]): void {
    this.version = version
    this.oldest = 0
    this.objects.clear()
    this.history = []
    this.listings.clear()
    this.cut()
    for (const [plural, object] of objects) this.put(plural, object)
  }

  backup(): [string, ApiObject][] {
    return [...this.objects].map(([key, object]) => [key.split('/')[0]!, structuredClone(object)])
  }

  private all(plural: string): ApiObject[] {
    const found = [...this.objects].filter(([key]) => key.startsWith(`${plural}/`))
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
  }

  private tell(change: Change): void {
    this.history.push(change)
    for (const watcher of this.watchers) this.tellOne(watcher, change)
  }

  private tellOne({ plural, from, selected, response }: Watcher, change: Change): void {
    // A watch from a version that was not reached yet hears nothing until it is.
    if (change.plural !== plural || change.version <= from) return
    const was = change.before !== null && selected(change.before)
    const is = change.after !== null && selected(change.after)
    if (!was && !is) return
    const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED'
    const object = structuredClone((is ? change.after : change.before)!)
    object.metadata.resourceVersion = String(change.version)
    this.say(response, { type, object })
  }

  private say(response: ServerResponse, event: unknown): void {
    const out = () => {
      for (const chunk of this.chunks(`${JSON.stringify(event)}\n`)) response.write(chunk)
    }
    if (this.frozen) this.frozen.push(out)
    else out()
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const body = await bodyOf(request)
    if (this.frozen) await new Promise<void>(resume => this.frozen!.push(resume))
    const url = new URL(request.url!, 'http://fake')
    const seen: SeenRequest = {
      method: request.method!,
      path: url.pathname,
      query: url.searchParams,
      authorization: request.headers.authorization ?? '',
      body,
    }
    this.requests.push(seen)
    await this.before(seen)
    if (this.intercept(seen, response)) return
    if (this.token !== null && seen.authorization !== `Bearer ${this.token}`)
      return status(response, 401, 'Unauthorized', 'Unauthorized')
    if (seen.path === '/version') return json(response, 200, { gitVersion: 'v0.0.0-fake' })
    const [, namespace = '', plural = '', name] = PATH.exec(seen.path) ?? []
    if (plural === '') return status(response, 404, 'NotFound', 'the server could not find the resource')
    if (seen.query.get('watch') === 'true') return this.watch(seen.query, plural, response)
    if (seen.method === 'GET' && name === undefined) return this.list(seen.query, plural, namespace, response)
    return this.single(seen, plural, namespace, name, response)
  }

  private single(
    { method, body }: SeenRequest,
    plural: string,
    namespace: string,
    name: string | undefined,
    response: ServerResponse,
  ): unknown {
    const given = (body ?? { metadata: {} }) as ApiObject
    const known = this.objects.get(keyOf(plural, namespace, name ?? given.metadata.name))
    if (method === 'POST') {
      if (known) return status(response, 409, 'AlreadyExists', `${plural} already exists`)
      return json(response, 201, this.put(plural, placed(given, namespace)))
    }
    if (!known) return status(response, 404, 'NotFound', `${plural} "${name}" not found`)
    const { resourceVersion } = given.metadata ?? {}
    if (resourceVersion !== undefined && resourceVersion !== known.metadata.resourceVersion)
      return status(response, 409, 'Conflict', 'the object has been modified')
    if (method === 'PUT') return json(response, 200, this.put(plural, placed(given, namespace)))
    if (method === 'PATCH') return json(response, 200, this.put(plural, merged(known, given) as ApiObject))
    if (method === 'DELETE') this.remove(plural, namespace, name!)
    return json(response, 200, known)
  }

  private list(query: URLSearchParams, plural: string, namespace: string, response: ServerResponse): unknown {
    const token = query.get('continue')
    const [version = String(this.version), from = '0'] = token ? token.split('.') : []
    const selected = selector(query.get('fieldSelector'))
    const fresh = () =>
      this.all(plural).filter(
        object => selected(object) && (!namespace || object.metadata.namespace === namespace),
      )
    const id = `${plural}.${version}.${query.get('fieldSelector')}.${namespace}`
    const items = token ? this.listings.get(id) : fresh()
    if (items === undefined)
      return status(response, 410, 'Expired', 'The provided continue parameter is too old')
    this.listings.set(id, items)
    const end = Number(from) + Number(query.get('limit') || items.length)
    const more = end < items.length ? { continue: `${version}.${end}` } : {}
    return json(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: version, ...more },
      items: items.slice(Number(from), end),
    })
  }

  private watch(query: URLSearchParams, plural: string, response: ServerResponse): unknown {
    const from = Number(query.get('resourceVersion'))
    if (from < this.oldest) return status(response, 410, 'Expired', `too old resource version: ${from}`)
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })
    response.flushHeaders()
    const watcher = { plural, from, selected: selector(query.get('fieldSelector')), response }
    for (const change of this.history) this.tellOne(watcher, change)
    this.watchers.add(watcher)
    return response.on('close', () => this.watchers.delete(watcher))
  }
}

function keyOf(plural: string, namespace = '', name: string): string {
  return `${plural}/${namespace}/${name}`
}

function placed(object: ApiObject, namespace: string): ApiObject {
  return namespace ? { ...object, metadata: { ...object.metadata, namespace } } : object
}

function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = { ...(before as Record<string, unknown>) }
  for (const [name, value] of Object.entries(patch))
    if (value === null) delete result[name]
    else result[name] = merged(result[name] ?? {}, value)
  return result
}

function isLive({ status: state }: ApiObject): boolean {
  return state?.phase !== 'Succeeded' && state?.phase !== 'Failed'
}

/** The two selectors that we use. */
function selector(text: string | null): (object: ApiObject) => boolean {
  const name = /^metadata\.name=(.*)$/.exec(text ?? '')?.[1]
  if (name !== undefined) return object => object.metadata.name === name
  return text?.includes('status.phase!=Succeeded') ? isLive : () => true
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? null : JSON.parse(text)
}

export function json(response: ServerResponse, code: number, value: unknown): ServerResponse {
  return response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

export function status(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
): ServerResponse {
  return json(response, code, { kind: 'Status', status: 'Failure', code, reason, message })
}
