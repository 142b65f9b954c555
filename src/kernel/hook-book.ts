import type { Hook } from '../render/kernel-delta.ts'
import type { TablePicture } from './picture.ts'

type FateOf = (chain: string) => 'keep' | 'go' | 'leave'

interface HookRecord {
  readonly hook: Hook
  /** How many plain jumps of ours the parent holds, and whether its first rule is one. */
  count: number
  first: boolean
  /**
   * The parent holds someone's native nft rules: iptables can still insert, but deletes nothing there. A
   * second jump of ours behind the first does no harm, so only the first place matters then.
   */
  native: boolean
}

/** Our jumps in the kernel's own chains of one table: exactly one each, and first. */
export class HookBook {
  readonly #records: HookRecord[]

  constructor(hooks: readonly Hook[]) {
    this.#records = hooks.map(hook => ({ hook, count: 0, first: false, native: false }))
  }

  /** The chains that a parent is to jump to. */
  get chains(): readonly string[] {
    return this.#records.map(({ hook }) => hook.chain)
  }

  /** Is this chain one that a parent jumps to? */
  has(chain: string): boolean {
    return this.#records.some(({ hook }) => hook.chain === chain)
  }

  /** Takes note of the parents as read. */
  observe(picture: TablePicture): void {
    for (const record of this.#records) this.#note(record, picture.get(record.hook.parent) ?? [])
  }

  /** Takes note of one parent as read. Returns whether our jump in it is missing, moved or doubled. */
  observeParent(parent: string, rules: readonly string[]): boolean {
    let spoilt = false
    for (const record of this.#records) {
      if (record.hook.parent !== parent) continue
      this.#note(record, rules)
      spoilt ||= !asItShould(record)
    }
    return spoilt
  }

  /** Restore lines that set right what differs from the fate of the hooks' chains. */
  lines(fateOf: FateOf): readonly string[] {
    const lines: string[] = []
    for (const { hook, count, native } of this.#wrong(fateOf)) {
      const deletions = native && fateOf(hook.chain) === 'keep' ? 0 : count
      for (let n = 0; n < deletions; n++) lines.push(`-D ${hook.parent} -j ${hook.chain}`)
      if (fateOf(hook.chain) === 'keep') lines.push(`-I ${hook.parent} 1 -j ${hook.chain}`)
    }
    return lines
  }

  /** The parents that `lines` would touch. */
  parents(fateOf: FateOf): readonly string[] {
    return this.#wrong(fateOf).map(({ hook }) => hook.parent)
  }

  /** The lines were acknowledged. */
  written(fateOf: FateOf): void {
    for (const record of this.#wrong(fateOf)) {
      record.count = fateOf(record.hook.chain) === 'keep' ? 1 : 0
      record.first = record.count === 1
    }
  }

  #wrong(fateOf: FateOf): readonly HookRecord[] {
    return this.#records.filter(record => {
      const fate = fateOf(record.hook.chain)
      if (fate === 'leave') return false
      return fate === 'keep' ? !asItShould(record) : record.count > 0
    })
  }

  #note(record: HookRecord, rules: readonly string[]): void {
    const jump = `-j ${record.hook.chain}`
    record.count = rules.filter(rule => rule === jump).length
    record.first = rules[0] === jump
    record.native = rules.some(rule => !rule.startsWith('-'))
  }
}

function asItShould({ count, first, native }: HookRecord): boolean {
  return first && (count === 1 || native)
}
