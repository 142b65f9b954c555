import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { KubeWatch } from './kube-watch.ts'
import { idOf, type Kind, type KubeObject, listPath, objectPath } from './object-path.ts'

/** Who asks: a client certificate, or a token that is read again for each request. */
export interface Identity {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  readonly token?: () => string
}

/** The API server said no. */
export class Refusal extends Error {
  readonly code: number
  /** One word of Kubernetes: `Forbidden`, `Expired`, `Conflict`. */
  readonly reason: string

  constructor(code: number, reason: string, message: string) {
    super(message)
    this.code = code
    this.reason = reason
  }
}

const MERGE = 'application/merge-patch+json'
const APPLY = 'application/apply-patch+yaml'
const JSON_TYPE = 'application/json'
/** So many requests run at once, however many the tests ask. */
const AT_ONCE = 24

export interface KubeList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly KubeObject[]
}

type Query = Readonly<Record<string, string | number | boolean>>

/** A plain client for the tests, apart from podfence's own. All methods throw Refusal. */
export class KubeClient {
  readonly url: string
  private readonly identity: Identity
  private readonly agent: Agent
  /** A watch holds its connection, so it takes none from the rest. */
  private readonly watchAgent: Agent

  constructor(url: string, identity: Identity) {
    this.url = url
    this.identity = identity
    const { ca, cert, key } = identity
    const shown = { ca, ...(cert !== undefined && key !== undefined ? { cert, key } : {}) }
    this.agent = new Agent({ ...shown, keepAlive: true, maxSockets: AT_ONCE })
    this.watchAgent = new Agent(shown)
  }

  get(kind: Kind, id: string): Promise<KubeObject> {
    return this.ask<KubeObject>('GET', objectPath(kind, id))
  }

  /** All of a kind, or those in one namespace. */
  list(kind: Kind, namespace?: string, query: Query = {}): Promise<KubeList> {
    return this.ask<KubeList>('GET', withQuery(listPath(kind, namespace), query))
  }

  create(object: KubeObject): Promise<KubeObject> {
    return this.ask('POST', listPath(object.kind as Kind, object.metadata.namespace), object)
  }

  /** Makes it, or makes it like this (server-side apply). */
  apply(object: KubeObject): Promise<KubeObject> {
    const path = withQuery(objectPath(object.kind as Kind, idOf(object)), {
      fieldManager: 'test',
      force: true,
    })
    return this.ask('PATCH', path, object, APPLY)
  }

  /** What is named replaces what is there, null removes it. `part`: `status`, say. */
  patch(kind: Kind, id: string, changes: object, part?: string): Promise<KubeObject> {
    const path = `${objectPath(kind, id)}${part === undefined ? '' : `/${part}`}`
    return this.ask('PATCH', path, changes, MERGE)
  }

  /** Deletes at once; with `graceSeconds` a pod on a node stays, terminating, until it is deleted once more without. */
  remove(kind: Kind, id: string, graceSeconds = 0): Promise<KubeObject> {
    return this.ask('DELETE', withQuery(objectPath(kind, id), { gracePeriodSeconds: graceSeconds }))
  }

  /** Deletes all of a kind in a namespace. */
  clear(kind: Kind, namespace: string): Promise<KubeList> {
    return this.ask('DELETE', withQuery(listPath(kind, namespace), { gracePeriodSeconds: 0 }))
  }

  /** Deletes a namespace with its pods and policies, as a controller would that these clusters have not. */
  async removeNamespace(name: string): Promise<void> {
    await this.remove('Namespace', name)
    for (const kind of ['Pod', 'NetworkPolicy'] as const) await this.clear(kind, name)
    const { spec: _, ...namespace } = await this.get('Namespace', name)
    await this.ask('PUT', `${objectPath('Namespace', name)}/finalize`, {
      ...namespace,
      spec: { finalizers: [] },
    })
  }

  /**
   * Watches a kind from a resourceVersion. Without one the server wants to know how far etcd is, which only etcd 3.4.25
   * and later tell it; before, the watch ends with 504 as long as nothing of the kind has changed.
   */
  watch(kind: Kind, query: Query & { readonly namespace?: string } = {}): Promise<KubeWatch> {
    const { namespace, ...rest } = query
    return this.open(withQuery(listPath(kind, namespace), { ...rest, watch: true }))
  }

  /** Any request; resolves with what was answered, also when that is a refusal. */
  async raw(
    method: string,
    path: string,
    body?: object | string,
    type = JSON_TYPE,
  ): Promise<{ readonly code: number; readonly text: string }> {
    const answer = await this.send(method, path, body, type)
    return { code: answer.statusCode!, text: await textOf(answer) }
  }

  /** Any request that is to succeed. */
  async ask<T>(method: string, path: string, body?: object | string, type?: string): Promise<T> {
    const { code, text } = await this.raw(method, path, body, type)
    if (code >= 300) throw refusal(code, text)
    return JSON.parse(text) as T
  }

  close(): void {
    this.agent.destroy()
    this.watchAgent.destroy()
  }

  private async open(path: string): Promise<KubeWatch> {
    const answer = await this.send('GET', path, undefined, JSON_TYPE, this.watchAgent)
    if (answer.statusCode !== 200) throw refusal(answer.statusCode!, await textOf(answer))
    return new KubeWatch(answer)
  }

  private send(
    method: string,
    path: string,
    body: object | string | undefined,
    type: string,
    agent = this.agent,
  ): Promise<IncomingMessage> {
    const { token } = this.identity
    const headers: Record<string, string> = { accept: JSON_TYPE }
    if (token !== undefined) headers.authorization = `Bearer ${token()}`
    if (body !== undefined) headers['content-type'] = type
    return new Promise((resolve, reject) => {
      const asked = request(`${this.url}${path}`, { method, agent, headers })
      asked.on('response', resolve)
      asked.on('error', reject)
      asked.end(typeof body === 'object' ? JSON.stringify(body) : body)
    })
  }
}

function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) search.set(name, String(value))
  return search.size === 0 ? path : `${path}?${search}`
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  answer.setEncoding('utf8')
  for await (const chunk of answer) text += chunk
  return text
}

function refusal(code: number, text: string): Refusal {
  try {
    const { reason = '', message = text } = JSON.parse(text) as { reason?: string; message?: string }
    return new Refusal(code, reason, message)
  } catch {
    return new Refusal(code, '', text)
  }
}
