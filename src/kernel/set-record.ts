import type { SetRole, SetType } from '../render/kernel-delta.ts'
import { printSetCommand } from './ipset/commands.ts'
import { PREFIX } from './own-names.ts'
import type { SetPicture } from './set-picture.ts'

export interface Shape {
  readonly type: SetType
  readonly family: 4 | 6
  readonly timeout: number | null
  readonly maxElements: number
}

/**
 * One set: what it should hold, and how the kernel differs from that. What the kernel holds is
 * `wanted` without `missing`, with `extra`; so a set that agrees costs its members once.
 */
export interface SetRecord {
  readonly name: string
  shape: Shape
  role: SetRole
  owner: string
  wanted: Set<string>
  /** Null: the kernel has no such set. */
  present: (Omit<Shape, 'type'> & { readonly type: string }) | null
  missing: Set<string>
  extra: Set<string>
  /** To be destroyed as soon as no rule uses it. */
  doomed: boolean
  /** Why members are missing that the kernel did not take. */
  short: string | null
  /** Something has left it since it was full: the missing members are worth another try. */
  roomier: boolean
  /** Its lines fail for some other reason; not tried again before a resync. */
  stuck: boolean
}

/** When more would be deleted and added than the set holds in the end, a new one is swapped in. */
const SWAP_FROM = 64

export function emptyRecord(name: string, shape: Shape, owner: string): SetRecord {
  return {
    name,
    shape,
    role: 'opens',
    owner,
    wanted: new Set(),
    present: null,
    missing: new Set(),
    extra: new Set(),
    doomed: false,
    short: null,
    roomier: false,
    stuck: false,
  }
}

export function unwant(record: SetRecord, member: string): void {
  if (!record.missing.delete(member)) record.extra.add(member)
}

/** Takes note of the members that the kernel holds. */
export function compare(record: SetRecord, held: ReadonlySet<string>): void {
  record.missing = new Set()
  record.extra = new Set()
  for (const member of held) if (!record.wanted.has(member)) record.extra.add(member)
  for (const member of record.wanted) if (!held.has(member)) record.missing.add(member)
}

/** Makes this its whole desired membership. */
export function rewant(record: SetRecord, wanted: Set<string>): void {
  const held = new Set(record.extra)
  for (const member of record.wanted) if (!record.missing.has(member)) held.add(member)
  record.wanted = wanted
  record.missing = new Set()
  record.extra = new Set()
  for (const member of wanted) if (!held.has(member)) record.missing.add(member)
  for (const member of held) if (!wanted.has(member)) record.extra.add(member)
}

export function sameShape({ present, shape }: SetRecord): boolean {
  return (
    present !== null &&
    present.type === shape.type &&
    present.family === shape.family &&
    // Members that expire cannot be carried over, so such a set is never replaced for a mere number.
    (present.timeout === null
      ? shape.timeout === null && present.maxElements === shape.maxElements
      : shape.timeout !== null)
  )
}

export function createLine(set: string, { type, family, timeout, maxElements }: Shape): string {
  return printSetCommand({ verb: 'create', set, type, family, maxelem: maxElements, timeout, exist: false })
}

/** `podf-4-ABC` is built anew as `podf-x4ABC`, which is no longer and no name of a wanted set. */
export function temporaryName(name: string): string {
  return `${PREFIX}x${name.slice(PREFIX.length).replace('-', '')}`
}

export function appendSwap(lines: string[], { name, shape, wanted }: SetRecord, temporary: string): void {
  lines.push(createLine(temporary, shape), `flush ${temporary}`)
  for (const member of wanted) lines.push(`add ${temporary} ${member}`)
  lines.push(`swap ${temporary} ${name}`, `destroy ${temporary}`)
}

/** Does the kernel hold exactly this? */
export function settled(record: SetRecord): boolean {
  return sameShape(record) && record.missing.size === 0 && record.extra.size === 0
}

/** Is it better, or the only way, to build it anew beside and swap? */
export function wantsSwap(record: SetRecord): boolean {
  if (record.present === null) return false
  if (!sameShape(record)) return true
  const { extra, missing, wanted } = record
  return extra.size > SWAP_FROM && extra.size + missing.size > wanted.size
}

/** The shape alone of a set that was read, so that its members are not kept. */
export function shapeRead({ type, family, timeout, maxElements }: SetPicture): SetRecord['present'] {
  return { type, family, timeout, maxElements }
}
