import type { SetChange, SetType } from '../render/kernel-delta.ts'
import type { LineFailure } from './ipset/session.ts'
import type { SetPicture } from './set-picture.ts'
import {
  appendSwap,
  compare,
  createLine,
  emptyRecord,
  rewant,
  type SetRecord,
  type Shape,
  sameShape,
  settled,
  shapeRead,
  temporaryName,
  unwant,
  wantsSwap,
} from './set-record.ts'

/** A set that lacks members it should have: the kernel did not take them. */
export interface ShortSet {
  readonly set: string
  readonly owner: string
  readonly lacking: number
  readonly said: string
}

/** When members are written; see `lines`. */
export type SetPhase = 'before chains' | 'after chains'

type Part = 'all' | 'adds' | 'deletes'

/** What of a set's difference opens nothing; null: nothing of it. */
function earlyPart(record: SetRecord): Part | null {
  if (!sameShape(record)) return 'all'
  if (record.role === 'opens') return record.extra.size > 0 ? 'deletes' : null
  // One that is full has to lose members first.
  return record.missing.size > 0 && record.short === null ? 'adds' : null
}

/** The sets: desired state against the kernel's, and the ipset lines that make the second the first. */
export class SetBook {
  readonly #records = new Map<string, SetRecord>()
  readonly #dirty = new Set<SetRecord>()
  readonly #doomed = new Set<SetRecord>()
  readonly #short = new Set<SetRecord>()
  /** Which sets the last `lines()` were about, and under which names new ones were built. */
  readonly #attempted = new Map<SetRecord, Part>()
  readonly #temporaries = new Map<string, string>()
  #maxElements: number

  /** `maxElements`: the limit that new sets get; one with another limit is replaced. */
  constructor(maxElements: number) {
    this.#maxElements = maxElements
  }

  /** Another limit, for sets that are stated from now on. */
  limit(maxElements: number): void {
    this.#maxElements = maxElements
  }

  change(change: SetChange): void {
    const known = this.#records.get(change.name)
    // Gone and made anew within one delta is made anew.
    if (change.removed && !change.created) {
      if (known !== undefined) this.#doom(known)
      return
    }
    const shape = this.#shapeOf(change)
    const record = known ?? emptyRecord(change.name, shape, change.owner)
    this.#records.set(change.name, record)
    record.owner = change.owner
    record.role = change.role
    record.shape = shape
    if (change.created || record.doomed) rewant(record, new Set(change.added))
    else {
      for (const member of change.deleted) if (record.wanted.delete(member)) unwant(record, member)
      for (const member of change.added) {
        if (record.wanted.has(member)) continue
        record.wanted.add(member)
        if (!record.extra.delete(member)) record.missing.add(member)
      }
    }
    record.doomed = false
    this.#doomed.delete(record)
    this.#dirty.add(record)
  }

  /** Makes the given sets the whole desired state; every other known set is doomed. */
  adopt(sets: readonly SetChange[]): void {
    const names = new Set(sets.map(set => set.name))
    for (const record of this.#records.values()) if (!names.has(record.name)) this.#doom(record)
    for (const set of sets) this.change({ ...set, created: true, removed: false, deleted: [] })
  }

  /** Takes note of what the kernel really holds. Returns the owners of sets that had drifted. */
  observe(
    picture: ReadonlyMap<string, SetPicture>,
    options: { readonly adopted: boolean },
  ): readonly string[] {
    const drifted: string[] = []
    for (const [name, read] of picture) {
      const record = this.#records.get(name) ?? this.#stray(name, read, options.adopted)
      const before = record.present !== null && record.missing.size === 0 && record.extra.size === 0
      record.present = shapeRead(read)
      // Members with a timeout come and go by themselves.
      compare(record, read.timeout === null ? new Set(read.members) : record.wanted)
      this.#setShort(record, null)
      if (settled(record)) continue
      this.#dirty.add(record)
      if (before && !record.doomed) drifted.push(record.owner)
    }
    for (const record of this.#records.values()) {
      if (picture.has(record.name)) continue
      if (record.present !== null && !record.doomed) drifted.push(record.owner)
      record.present = null
      record.extra = new Set()
      record.missing = new Set(record.wanted)
      if (record.doomed) this.#drop(record)
      else this.#dirty.add(record)
    }
    return drifted
  }

  /**
   * Lines that bring the sets to their desired state. Before the chains are written: sets that are new, and of
   * the others what can only close, that is members that leave a set that opens or join one that closes.
   * After the chains: all the rest. So the kernel allows at each moment no more than it did before or will after.
   * What comes after the chains may come alone when no chain differs and not `closesFirst`: it closes, then opens.
   */
  lines(phase: SetPhase): readonly string[] {
    const deletes = { opens: [] as string[], closes: [] as string[] }
    const rest: string[] = []
    this.#attempted.clear()
    this.#temporaries.clear()
    for (const record of this.#dirty) {
      // A full set is not tried again before something leaves it, or `retryShort`.
      const full = record.short !== null && record.extra.size === 0 && !record.roomier
      const hopeless = record.stuck || full
      if (record.doomed || settled(record) || hopeless) continue
      const part = phase === 'after chains' ? 'all' : earlyPart(record)
      if (part === null) continue
      this.#attempted.set(record, part)
      if (part === 'all' && wantsSwap(record)) {
        const temporary = temporaryName(record.name)
        this.#temporaries.set(temporary, record.name)
        appendSwap(rest, record, temporary)
        continue
      }
      if (part !== 'adds')
        for (const member of record.extra) deletes[record.role].push(`del ${record.name} ${member}`)
      if (record.present === null) rest.push(createLine(record.name, record.shape))
      if (part !== 'deletes') for (const member of record.missing) rest.push(`add ${record.name} ${member}`)
    }
    if (phase === 'after chains') this.#dirty.clear()
    return [...deletes.opens, ...deletes.closes, ...rest]
  }

  /** Must more than members that leave be acknowledged before any member opens something? */
  closesFirst(): boolean {
    return [...this.#dirty].some(record => {
      if (record.doomed || settled(record)) return false
      const part = earlyPart(record)
      return part === 'all' || part === 'adds' || wantsSwap(record)
    })
  }

  /**
   * The lines were acknowledged, all but these. Returns what went wrong beyond members that were not
   * taken: then the kernel is not what the book says (a set gone or changed), and has to be read.
   */
  confirm(failures: readonly LineFailure[]): LineFailure | null {
    const { lacking, doubtful } = sortFailures(failures, this.#temporaries)
    for (const [record, part] of this.#attempted) {
      const lack = lacking.get(record.name)
      record.present = record.shape
      if (part !== 'adds') record.extra = new Set()
      if (part !== 'deletes') record.missing = new Set(lack?.members)
      // One that was full may have room again, and lacks its members until they are in.
      if (part === 'deletes' && record.short !== null && record.missing.size > 0) record.roomier = true
      else this.#setShort(record, lack?.said ?? null)
    }
    this.#attempted.clear()
    return doubtful
  }

  /** This line fails whatever the kernel holds: its set is left as it is until `retryShort`, and shows among the short. */
  giveUp({ line, said }: LineFailure): void {
    const [verb, first = '', second = ''] = line.split(' ')
    const name = verb === 'swap' ? second : first
    const record = this.#records.get(this.#temporaries.get(name) ?? name)
    if (record === undefined || record.doomed) return
    record.stuck = true
    this.#setShort(record, said)
  }

  /** Sets that should go and still are there. */
  doomed(): readonly string[] {
    return [...this.#doomed].map(record => record.name)
  }

  isDoomed(name: string): boolean {
    return this.#records.get(name)?.doomed ?? false
  }

  /** It was destroyed. When it is wanted again by now, it has to be made anew. */
  destroyed(name: string): void {
    const record = this.#records.get(name)
    if (record === undefined) return
    if (record.doomed) {
      this.#drop(record)
      return
    }
    record.present = null
    record.extra = new Set()
    record.missing = new Set(record.wanted)
    this.#dirty.add(record)
  }

  /** Lets the next `lines()` try members again that the kernel did not take. */
  retryShort(): void {
    for (const record of [...this.#short]) {
      record.stuck = false
      this.#setShort(record, null)
      this.#dirty.add(record)
    }
  }

  short(): readonly ShortSet[] {
    return [...this.#short].map(({ name, owner, missing, short }) => ({
      set: name,
      owner,
      lacking: missing.size,
      said: short ?? '',
    }))
  }

  /**
   * For the guard of rules: sets that lack members, and sets that could not be made at all among those whose members
   * expire (of these nobody can say what they lack).
   */
  lacking(): { readonly members: readonly string[]; readonly sets: readonly string[] } {
    const members: string[] = []
    const sets: string[] = []
    for (const { name, shape, present } of this.#short) {
      if (shape.timeout === null) members.push(name)
      else if (present === null) sets.push(name)
    }
    return { members, sets }
  }

  /** Does a set have to be made before rules can name it? */
  needsCreation(): boolean {
    return [...this.#dirty].some(record => !record.doomed && record.present === null)
  }

  get size(): number {
    return this.#records.size
  }

  #shapeOf({ type, family, timeout }: SetChange): Shape {
    return { type, family, timeout: timeout ?? null, maxElements: this.#maxElements }
  }

  #stray(name: string, read: SetPicture, adopted: boolean): SetRecord {
    const shape: Shape = { ...read, type: read.type as SetType }
    const record = emptyRecord(name, shape, 'a set of an earlier run')
    if (adopted) this.#markDoomed(record)
    else record.wanted = new Set(read.timeout === null ? read.members : [])
    this.#records.set(name, record)
    return record
  }

  #doom(record: SetRecord): void {
    for (const member of record.wanted) unwant(record, member)
    record.wanted = new Set()
    record.missing = new Set()
    this.#markDoomed(record)
    if (record.present === null) this.#drop(record)
  }

  #markDoomed(record: SetRecord): void {
    record.doomed = true
    this.#doomed.add(record)
    this.#setShort(record, null)
  }

  #setShort(record: SetRecord, said: string | null): void {
    record.short = said
    record.roomier = false
    if (said === null) this.#short.delete(record)
    else this.#short.add(record)
  }

  #drop(record: SetRecord): void {
    this.#records.delete(record.name)
    this.#doomed.delete(record)
    this.#dirty.delete(record)
  }
}

interface Lack {
  readonly members: string[]
  readonly said: string
}

/** Which sets did not take which members, and the first failure of another kind. */
function sortFailures(failures: readonly LineFailure[], temporaries: ReadonlyMap<string, string>) {
  const lacking = new Map<string, Lack>()
  let doubtful: LineFailure | null = null
  for (const failure of failures) {
    const [verb = '', given = '', member = ''] = failure.line.split(' ')
    if (verb !== 'add' || /does not exist/.test(failure.said)) {
      doubtful ??= failure
      continue
    }
    const name = temporaries.get(given) ?? given
    const entry = lacking.get(name) ?? { members: [], said: failure.said }
    entry.members.push(member)
    lacking.set(name, entry)
  }
  return { lacking, doubtful }
}
