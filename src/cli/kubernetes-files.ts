import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LineCounter, parseAllDocuments } from 'yaml'
import { PodfenceError } from '../errors.ts'
import { type ObjectResource, objectKey } from '../source/kubernetes/object-key.ts'

/** Kubernetes objects of a directory, under their keys, and what of it was passed over. */
export interface KubernetesFiles {
  readonly entries: ReadonlyMap<string, string>
  /** One sentence each. */
  readonly notes: readonly string[]
}

const RESOURCES: Readonly<Record<string, ObjectResource>> = {
  Pod: 'pods',
  Namespace: 'namespaces',
  NetworkPolicy: 'networkpolicies',
  Node: 'nodes',
}
const VERSIONS: Readonly<Record<ObjectResource, string>> = {
  pods: 'v1',
  namespaces: 'v1',
  nodes: 'v1',
  networkpolicies: 'networking.k8s.io/v1',
}
const NAME_LABEL = 'kubernetes.io/metadata.name'

interface Written {
  readonly file: string
  readonly line: number
  readonly object: ObjectShape
}

interface ObjectShape {
  apiVersion?: unknown
  kind?: unknown
  metadata?: { name?: unknown; namespace?: unknown }
  items?: unknown
}

/**
 * Reads *.yaml, *.yml and *.json of a directory as kubectl prints them: several documents, lists of objects. Resolves with
 * null when nothing in it is of Kubernetes. Throws OBJECT_INVALID with every problem that leaves an object unknown.
 */
export async function readKubernetesFiles(directory: string): Promise<KubernetesFiles | null> {
  const names = (await readdir(directory)).filter(name => /^[^.].*\.(ya?ml|json)$/i.test(name)).sort()
  const problems: string[] = []
  const written: Written[] = []
  for (const name of names) {
    const file = join(directory, name)
    written.push(...objectsOf(await readFile(file, 'utf8'), file, problems))
  }
  const ours = written.filter(({ object }) => String(object.apiVersion).startsWith('podfence/'))
  if (ours.length === written.length && (written.length > 0 || problems.length === 0)) return null
  if (ours.length > 0)
    problems.push(
      `${ours[0]!.file}:${ours[0]!.line}: an object of podfence's own among Kubernetes'; keep them in directories of their own.`,
    )
  const entries = new Map<string, string>()
  const ignored = new Map<string, number>()
  for (const each of written) take(each, entries, ignored, problems)
  if (problems.length > 0) throw new PodfenceError('OBJECT_INVALID', problems.join('\n'))
  const added = addNamespaces(entries)
  const notes = [...ignored].map(([kind, count]) => `${count} of kind ${kind} passed over.`)
  if (added.length > 0)
    notes.push(`Namespaces that no file has, with no label but their name: ${added.join(', ')}.`)
  return { entries, notes }
}

function objectsOf(text: string, file: string, problems: string[]): Written[] {
  const counter = new LineCounter()
  return parseAllDocuments(text, { lineCounter: counter, uniqueKeys: true }).flatMap(document => {
    if (!('errors' in document)) return []
    const line = counter.linePos(document.contents?.range?.[0] ?? document.range[0]).line
    for (const { message } of document.errors) problems.push(`${file}:${line}: ${message.split('\n')[0]}`)
    if (document.errors.length > 0) return []
    return flattened(document.toJS() as unknown).map(object => ({ file, line, object }))
  })
}

/** A list's items, also of lists in lists; nothing for an empty document. */
function flattened(value: unknown): ObjectShape[] {
  if (typeof value !== 'object' || value === null) return []
  const object = value as ObjectShape
  if (typeof object.kind === 'string' && object.kind.endsWith('List') && Array.isArray(object.items)) {
    const kind = object.kind.slice(0, -'List'.length)
    // Items of a typed list come without a kind of their own.
    const typed = kind === '' ? {} : { kind, apiVersion: object.apiVersion }
    return object.items.flatMap(item => flattened({ ...typed, ...(item as object) }))
  }
  return [object]
}

function take(
  { file, line, object }: Written,
  entries: Map<string, string>,
  ignored: Map<string, number>,
  problems: string[],
): void {
  const { kind, apiVersion, metadata } = object
  const at = `${file}:${line}`
  const resource = typeof kind === 'string' && Object.hasOwn(RESOURCES, kind) ? RESOURCES[kind]! : null
  if (resource === null) {
    const word = typeof kind === 'string' ? kind : 'none'
    ignored.set(word, (ignored.get(word) ?? 0) + 1)
    return
  }
  const { name, namespace = 'default' } = metadata ?? {}
  if (
    typeof name !== 'string' ||
    name === '' ||
    typeof namespace !== 'string' ||
    `${name}${namespace}`.includes('/')
  )
    problems.push(`${at}: a ${kind} without a name that Kubernetes could have.`)
  else if (apiVersion !== VERSIONS[resource])
    problems.push(
      `${at}: ${kind} ${name}: apiVersion must be ${VERSIONS[resource]}, not ${String(apiVersion)}.`,
    )
  else {
    const key = objectKey(resource, namespace, name)
    if (entries.has(key)) problems.push(`${at}: ${kind} ${name} stands here a second time.`)
    entries.set(key, JSON.stringify(object))
  }
}

/** Every namespace that an object lies in is there, as the API would have it. */
function addNamespaces(entries: Map<string, string>): string[] {
  const used = [...entries.keys()].flatMap(
    key => /^\/kubernetes\/(?:pods|networkpolicies)\/([^/]+)\//.exec(key)?.[1] ?? [],
  )
  const missing = [...new Set(used)].filter(name => !entries.has(objectKey('namespaces', '', name)))
  for (const name of missing) {
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { [NAME_LABEL]: name } } }
    entries.set(objectKey('namespaces', '', name), JSON.stringify(object))
  }
  return missing.sort()
}
