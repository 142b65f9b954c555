import { parseCidr } from '../../model/cidr.ts'
import type { Family } from '../../model/values.ts'
import type { Packet } from './packet.ts'
import { printTables } from './print-tables.ts'
import { FakeRestore } from './restore.ts'
import { printSets, runSetLine } from './set-language.ts'
import { SetStore } from './set-store.ts'
import type { Table } from './table.ts'
import type { Backend, ToolResult } from './tool.ts'
import { type Walk, walkPacket } from './walk.ts'
import type { Route, World } from './world.ts'

export interface FakeKernelOptions {
  /** nft, the stricter one, by default. */
  readonly backend?: Backend
  /** Milliseconds; the sets' timeouts go by it. Default: it stands still. */
  readonly now?: () => number
}

/**
 * A kernel with netfilter that takes exactly the text that iptables-restore and ipset take, prints what
 * iptables-save and `ipset save` print, and walks packets through it. What it does not know it refuses, or
 * throws TypeError on the walk; it never passes over anything.
 */
export class FakeKernel {
  readonly #backend: Backend
  readonly #now: () => number
  readonly #sets: SetStore
  readonly #tables: Readonly<Record<Family, Map<string, Table>>> = { 4: new Map(), 6: new Map() }
  readonly #held = new Set<string>()
  #routes: readonly Route[] = []
  #local: ReadonlySet<string> = new Set()
  #referenced: Set<string> | null = null

  constructor({ backend = 'nft', now = () => 0 }: FakeKernelOptions = {}) {
    this.#backend = backend
    this.#now = now
    this.#sets = new SetStore(now)
  }

  /** One run of `iptables-restore --noflush -v`. */
  restore(family: Family, text: string): ToolResult {
    const process = this.openRestore(family)
    const { stdout, stderr } = process.write(text)
    const ended = process.end()
    return { exit: ended.exit, stdout: stdout + ended.stdout, stderr: stderr + ended.stderr }
  }

  /** A long-lived `iptables-restore --noflush -v`. */
  openRestore(family: Family): FakeRestore {
    const tables = this.#tables[family]
    return new FakeRestore({
      family,
      backend: this.#backend,
      sets: this.#sets,
      table: name => tables.get(name),
      commit: table => {
        tables.set(table.name, table)
        this.#referenced = null
      },
    })
  }

  /** What iptables-save prints. A table exists once something was committed to it. */
  save(family: Family): string {
    return printTables(this.#tables[family], family, this.#backend, this.#now())
  }

  /** One line to `ipset -`. */
  ipset(line: string): ToolResult {
    return runSetLine(line, { sets: this.#sets, isReferenced: name => this.#isReferenced(name) })
  }

  /** What `ipset save` prints, of one set or of all. */
  ipsetSave(name?: string): string {
    return printSets(this.#sets, name)
  }

  /** As if the kernel still held a set after its last rule went, as it does for some milliseconds on nft. */
  holdSet(name: string): void {
    this.#held.add(name)
  }

  releaseSet(name: string): void {
    this.#held.delete(name)
  }

  /**
   * The node's routes, for `-m rpfilter`: network to interface, or to several of equal cost.
   * Throws TypeError for what is no network.
   */
  setRoutes(routes: Readonly<Record<string, string | readonly string[]>>): void {
    this.#routes = Object.entries(routes).flatMap(([text, names]) => {
      const net = parseCidr(text)
      if (net === null) throw new TypeError(`no network: ${text}`)
      return [names].flat().map(name => ({ net, interface: name }))
    })
  }

  /** The node's own addresses, as canonical text. */
  setLocalAddresses(addresses: readonly string[]): void {
    this.#local = new Set(addresses)
  }

  /** A packet's way through raw, mangle and filter; see walkPacket. */
  walk(packet: Packet, telling = true): Walk {
    const world: World = { sets: this.#sets, routes: this.#routes, local: this.#local }
    return walkPacket(packet, this.#tables[packet.family], world, telling)
  }

  #isReferenced(name: string): boolean {
    this.#referenced ??= this.#setsInRules()
    return this.#referenced.has(name) || this.#held.has(name)
  }

  #setsInRules(): Set<string> {
    const names = new Set<string>()
    for (const tables of Object.values(this.#tables))
      for (const table of tables.values())
        for (const [, rule] of table.allRules()) for (const name of rule.sets) names.add(name)
    return names
  }
}
