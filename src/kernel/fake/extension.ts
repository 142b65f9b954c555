import type { Family } from '../../model/values.ts'
import type { ParsedOption } from '../iptables-parser/rule.ts'
import type { Hook, Seen } from './packet.ts'
import type { SetStore } from './set-store.ts'
import { usage } from './tool.ts'
import type { World } from './world.ts'

/** Whether a packet has what the rule asks for. */
export type Test = (seen: Seen, world: World) => boolean

export interface LoadContext {
  readonly family: Family
  /** Of `-p`; null when absent. */
  readonly protocol: { readonly number: number; readonly not: boolean } | null
  readonly sets: SetStore
  /** The line is well, but the kernel will not take the rule. */
  readonly refuse: (reason: string) => void
}

/** Where an extension may stand; a rule reached from elsewhere makes the kernel refuse the transaction. */
export interface Placement {
  readonly what: string
  readonly tables?: readonly string[]
  readonly hooks?: readonly Hook[]
  /** nft looks at rules of the kernel's own chains only (physdev's check at rule level). */
  readonly nftBaseOnly?: boolean
}

export interface LoadedMatch {
  /** Its options as iptables-save prints them, without `-m NAME`. */
  readonly text: string
  readonly test: Test
  readonly sets?: readonly string[]
  readonly placement?: Omit<Placement, 'what'>
}

export interface MatchExtension {
  readonly families?: readonly Family[]
  /** The rule must have `-p` with one of these, not negated; the kernel checks it. */
  readonly protocols?: readonly number[]
  /** Its options; true: `!` may stand before it. */
  readonly options: Readonly<Record<string, boolean>>
  readonly load: (options: Options, context: LoadContext) => LoadedMatch
}

/** The options given to one extension, each at most once and of the allowed ones. */
export class Options {
  readonly #extension: string
  readonly #given = new Map<string, ParsedOption>()

  constructor(extension: string, given: readonly ParsedOption[], allowed: Readonly<Record<string, boolean>>) {
    this.#extension = extension
    for (const option of given) {
      if (!option.known || !Object.hasOwn(allowed, option.name))
        throw usage(`unknown option "${option.name}"`)
      if (this.#given.has(option.name))
        throw usage(`${extension}: option "${option.name}" can only be used once.\n`)
      if (option.not && !allowed[option.name])
        throw usage(`${extension}: option "${option.name}" cannot be inverted.\n`)
      this.#given.set(option.name, option)
    }
  }

  get names(): readonly string[] {
    return [...this.#given.keys()]
  }

  get(name: string): ParsedOption | undefined {
    return this.#given.get(name)
  }

  has(name: string): boolean {
    return this.#given.has(name)
  }

  must(name: string): ParsedOption {
    const option = this.#given.get(name)
    if (option === undefined) throw usage(`${this.#extension}: option "${name}" must be specified\n`)
    return option
  }
}

/** `! --name value` as iptables-save prints it. */
export function show(option: ParsedOption, value: string): string {
  return `${option.not ? '! ' : ''}${option.name} ${value}`
}
