import { type Document, isMap, isScalar, type Node, type ParsedNode, type YAMLMap } from 'yaml'
import type { KeyChange } from '../source/event.ts'
import { decodeChange } from './decoders.ts'
import { parseKey } from './key.ts'
import { API_VERSION, type Metadata, OBJECT_KINDS, type ObjectKind, objectKeys } from './object-kind.ts'
import { ObjectFault, type ObjectProblem, type Place } from './object-problem.ts'
import { Refusal, show } from './refusal.ts'

/** One object as somebody wrote it. */
export interface WrittenObject {
  readonly kind: ObjectKind
  readonly metadata: Metadata
  /** Every key the object is made of, with its value; null where the object leaves that part out. */
  readonly changes: readonly KeyChange[]
  readonly place: Place
  /** What the decoders refuse in it, with the place in the file. Empty: the object is good. */
  check(): readonly ObjectProblem[]
}

const HEADER = ['apiVersion', 'kind', 'metadata', 'spec']

/** Reads one YAML document as one object. */
export class ObjectReader {
  private readonly document: Document.Parsed
  private readonly placeAt: (offset: number) => Place
  /** Where the document's content begins. */
  private readonly start: number

  constructor(document: Document.Parsed, placeAt: (offset: number) => Place) {
    this.document = document
    this.placeAt = placeAt
    this.start = document.contents?.range[0] ?? document.range[0]
  }

  read(): WrittenObject {
    const fault = this.document.errors[0] ?? this.document.warnings[0]
    if (fault) throw new ObjectFault(fault.pos[0], fault.message, 'Correct the YAML at this place.')
    const { contents } = this.document
    if (!isMap(contents))
      throw new ObjectFault(
        this.start,
        'an object must be a mapping',
        `Begin with apiVersion: ${API_VERSION}.`,
      )
    this.onlyKnown(contents, HEADER, 'an object')
    const version = this.document.get('apiVersion')
    if (version !== API_VERSION)
      throw this.faultAt(['apiVersion'], `${show(version)} is not an apiVersion`, `Write ${API_VERSION}.`)
    const kind = this.kind()
    const metadata = this.metadata(kind)
    const changes = this.changes(kind, objectKeys(kind, metadata))
    return {
      kind,
      metadata,
      changes,
      place: this.placeAt(this.start),
      check: () => changes.flatMap(change => this.refusals(change)),
    }
  }

  problem(error: unknown): ObjectProblem {
    const keys = this.keysIfKnown()
    if (error instanceof ObjectFault)
      return { place: this.placeAt(error.offset), message: error.message, remedy: error.remedy, keys }
    const place = this.placeAt(this.start)
    if (error instanceof Refusal) return { place, message: error.reason, remedy: error.remedy, keys }
    return { place, message: (error as Error).message, remedy: 'Write a plain YAML object.', keys }
  }

  /** Which object a faulty document was meant to be. */
  private keysIfKnown(): string[] | null {
    try {
      const kind = this.kind()
      return objectKeys(kind, this.metadata(kind))
    } catch {
      return null
    }
  }

  private kind(): ObjectKind {
    const kind = this.document.get('kind')
    if (typeof kind === 'string' && Object.hasOwn(OBJECT_KINDS, kind)) return kind as ObjectKind
    const known = Object.keys(OBJECT_KINDS).join(', ')
    throw this.faultAt(['kind'], `${show(kind)} is not a kind of object`, `Write one of ${known}.`)
  }

  private metadata(kind: ObjectKind): Metadata {
    const { names, optional } = OBJECT_KINDS[kind]
    const node = this.document.get('metadata', true) as unknown
    if (!isMap(node))
      throw this.faultAt(['metadata'], 'metadata must be a mapping', `Name ${names.join(', ')}.`)
    this.onlyKnown(node as YAMLMap.Parsed, names, `metadata of ${kind}`)
    const metadata: Record<string, string> = {}
    for (const name of names) {
      const value = this.document.getIn(['metadata', name], true)
      if (value === undefined && name === optional) continue
      const text = isScalar(value) ? value.value : undefined
      if (typeof text !== 'string')
        throw this.faultAt(
          ['metadata', name],
          `metadata.${name} must be a text, not ${show(text)}`,
          'Write a name, in quotes if it looks like a number.',
        )
      metadata[name] = text
    }
    objectKeys(kind, metadata)
    return metadata
  }

  private changes(kind: ObjectKind, keys: readonly string[]): KeyChange[] {
    const spec = this.document.get('spec', true) as unknown
    if (!isMap(spec))
      throw this.faultAt(['spec'], 'spec must be a mapping', `Write what this ${kind} is under spec.`)
    if (kind === 'Config') {
      this.onlyKnown(spec as YAMLMap.Parsed, ['value'], 'spec of Config')
      return [{ key: keys[0]!, value: this.plainText(['spec', 'value']) }]
    }
    if (kind !== 'Profile') return [{ key: keys[0]!, value: this.json(spec as Node, ['spec']) }]
    this.onlyKnown(spec as YAMLMap.Parsed, ['tags', 'rules', 'labels'], 'spec of Profile')
    return keys.map(key => {
      const field = key.slice(key.lastIndexOf('/') + 1)
      const node = this.document.getIn(['spec', field], true)
      const absent = node === undefined || (isScalar(node) && node.value === null)
      return { key, value: absent ? null : this.json(node as Node, ['spec', field]) }
    })
  }

  private json(node: Node, path: readonly string[]): string {
    return JSON.stringify(node.toJS(this.document), (_, value) => {
      if (typeof value !== 'number' || Number.isFinite(value)) return value
      throw this.faultAt(path, `${value} cannot be stored`, 'Write a finite number.')
    })
  }

  /** A setting's text as written: `0xff000000` stays so. */
  private plainText(path: readonly string[]): string {
    const node = this.document.getIn(path, true)
    if (isScalar(node) && node.value !== null)
      return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value))
    throw this.faultAt(path, `${path.join('.')} must be a text`, 'Write the setting as one text.')
  }

  private onlyKnown(map: YAMLMap.Parsed, known: readonly string[], where: string): void {
    for (const { key } of map.items) {
      const name = isScalar(key) ? String(key.value) : ''
      if (!known.includes(name))
        throw new ObjectFault(
          key.range[0],
          `${show(name)} is not a field of ${where}`,
          `Known: ${known.join(', ')}.`,
        )
    }
  }

  private refusals({ key, value }: KeyChange): ObjectProblem[] {
    const reading = parseKey(key)
    if (value === null || reading.read !== 'key' || reading.key.kind === 'ready') return []
    try {
      decodeChange(reading.key, value)
      return []
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const part = reading.key.kind.startsWith('profile-') ? ['spec', reading.key.kind.slice(8)] : ['spec']
      const place = this.placeAt(this.offset([...part, ...pathIn(error.reason)]))
      return [{ place, message: error.reason, remedy: error.remedy, keys: [key] }]
    }
  }

  private faultAt(path: readonly string[], message: string, remedy: string): ObjectFault {
    return new ObjectFault(this.offset(path), message, remedy)
  }

  /** Where the value at a path begins; of the longest part of the path that is there. */
  private offset(path: readonly string[]): number {
    for (let length = path.length; length > 0; length--) {
      const node = this.document.getIn(path.slice(0, length), true) as ParsedNode | undefined
      if (node?.range) return node.range[0]
    }
    return this.start
  }
}

/** The place that a refusal begins with, as steps: `inbound_rules[2].src_ports[0]: ...`. */
function pathIn(reason: string): string[] {
  const place = /^(?:[!\w]+|\[\d+\])(?:\[\d+\]|\.[!\w]+)*(?=: )/.exec(reason)?.[0] ?? ''
  return place.split(/[.[\]]+/).filter(step => step !== '')
}
