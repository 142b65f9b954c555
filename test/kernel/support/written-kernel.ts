import { kernelCounters } from '../../../src/kernel/counters.ts'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import { FamilyTables } from '../../../src/kernel/family-tables.ts'
import { KernelBooks } from '../../../src/kernel/kernel-books.ts'
import { KernelWriter } from '../../../src/kernel/kernel-writer.ts'
import { SetBook } from '../../../src/kernel/set-book.ts'
import { FAMILIES, type Family } from '../../../src/model/values.ts'
import { HOOKS } from '../../../src/render/hooks.ts'
import type { KernelDelta } from '../../../src/render/kernel-delta.ts'

/** What the kernel has just taken: a set's member that came or went, or (null) anything of the family. */
export interface Commit {
  readonly family: Family
  readonly member: string | null
  readonly text: string
}

/** The driver's own books and writer before a fake kernel: every commit comes as and when the real kernel gets it. */
export class WrittenKernel {
  readonly fake = new FakeKernel()
  /** Hears after each set line and each committed table. */
  committed: (commit: Commit) => void = () => {}
  readonly #books: KernelBooks
  readonly #writer: KernelWriter

  constructor() {
    const sets = new SetBook(1_048_576)
    const nothing = { read: unread, announce: () => () => {} }
    const tables = FAMILIES.map(family => {
      const session = {
        commit: async (transactions: readonly (readonly string[])[]) => {
          for (const lines of transactions) this.#restore(family, `${lines.join('\n')}\n`)
        },
      }
      const setGoes = (name: string) => sets.isDoomed(name)
      const options = { ...nothing, hooks: HOOKS, session, counters: kernelCounters(), setGoes }
      return [family, new FamilyTables(options)] as const
    })
    const processes = new Proxy({}, { get: unread }) as never
    const reader = { processes, backend: 'nft', counters: kernelCounters() } as const
    this.#books = new KernelBooks(reader, new Map(tables), sets)
    this.#writer = new KernelWriter(this.#books, { run: async lines => this.#run(lines) })
    this.#writer.doubt = false
  }

  /** As KernelDriver.apply. Throws what the kernel refuses. */
  async apply(delta: KernelDelta): Promise<void> {
    for (const change of delta.sets) this.#books.sets.change(change)
    for (const change of delta.chains) this.#books.of(change.family).change(change, this.#writer.guard)
    await this.#flush()
  }

  /** As KernelDriver.adopt. */
  async adopt(full: KernelDelta): Promise<void> {
    this.#books.sets.adopt(full.sets)
    for (const family of FAMILIES) {
      const chains = full.chains.filter(chain => chain.family === family)
      this.#books.of(family).adopt(chains, this.#writer.guard)
    }
    await this.#flush()
  }

  async #flush(): Promise<void> {
    await this.#writer.flush('sets first')
    for (const name of this.#books.sets.doomed()) {
      this.#run([`destroy ${name}`])
      this.#books.sets.destroyed(name)
    }
  }

  #run(lines: readonly string[]): [] {
    for (const line of lines) {
      const { exit, stderr } = this.fake.ipset(line)
      if (exit !== 0) throw new Error(`${line}\n${stderr}`)
      const [, verb, set = '', member] = /^(add|del) (\S+) (\S+)$/.exec(line) ?? []
      if (verb !== undefined)
        this.committed({ family: set.startsWith('podf-6') ? 6 : 4, member: member!, text: line })
      else for (const family of FAMILIES) this.committed({ family, member: null, text: line })
    }
    return []
  }

  #restore(family: Family, text: string): void {
    const { exit, stderr } = this.fake.restore(family, text)
    if (exit !== 0) throw new Error(`${stderr}\n${text}`)
    this.committed({ family, member: null, text })
  }
}

function unread(): never {
  throw new Error('the driver must not read the kernel here')
}
