import type { Family } from '../../model/values.ts'
import { splitWords } from '../iptables-parser/words.ts'
import { compileRule, type KernelRule } from './kernel-rule.ts'
import { readNumber } from './number.ts'
import type { SetStore } from './set-store.ts'
import type { Policy, Table } from './table.ts'
import { isVerdict } from './targets.ts'
import { type Backend, ToolFailure, usage } from './tool.ts'

/** A table being changed, and what its rules may refer to. */
export interface Draft {
  readonly table: Table
  readonly family: Family
  readonly backend: Backend
  readonly sets: SetStore
}

const NAME_LIMIT = 28
const NO_CHAIN = 'No chain/target/match by that name'

function line(message: string): ToolFailure {
  return new ToolFailure('line', message)
}

function busy(draft: Draft, chain: string): ToolFailure {
  const message = `CHAIN_DEL failed (Device or resource busy): chain ${chain}`
  return new ToolFailure(draft.backend === 'nft' ? 'kernel' : 'line', message)
}

function checkChainName(draft: Draft, name: string): void {
  const nft = draft.backend === 'nft'
  if (name.length > NAME_LIMIT)
    throw nft
      ? usage(`chain name \`${name}' too long (must be under ${NAME_LIMIT + 1} chars)`)
      : usage(`Invalid chain name \`${name}' (${NAME_LIMIT} chars max)`)
  if (nft && (name.startsWith('-') || name.startsWith('!')))
    throw usage(`chain name not allowed to start with \`${name[0]}'`)
  if (isVerdict(name))
    throw usage(
      nft ? 'chain name may not clash with target name' : `error creating chain '${name}':File exists`,
    )
}

/** `:NAME POLICY [0:0]`: makes the chain, or empties it when it is somebody's; a built-in one takes the policy. */
export function declareChain(draft: Draft, text: string): void {
  const [name, policy] = text.slice(1).split(/[ \t]+/)
  if (name === undefined || name === '' || policy === undefined || policy === '')
    throw usage('policy invalid')
  const { table } = draft
  if (table.isBuiltIn(name)) {
    if (policy !== '-') setPolicy(draft, name, policy)
    return
  }
  checkChainName(draft, name)
  if (policy !== '-' && draft.backend === 'legacy') throw line('Bad built-in chain name')
  if (table.rules(name) === undefined) table.addChain(name)
  else table.flush(name)
}

function setPolicy(draft: Draft, chain: string, policy: string): void {
  if (!draft.table.isBuiltIn(chain)) throw line('Bad built-in chain name')
  if (policy !== 'ACCEPT' && policy !== 'DROP') throw line('Bad policy name')
  draft.table.policies.set(chain, policy satisfies Policy)
}

/** A line such as `-A CHAIN ...`. Throws ToolFailure; the draft is then good for nothing but further lines. */
export function runCommand(draft: Draft, text: string): void {
  const words = splitWords(text.replace(/^\[\d+:\d+\] /, ''))
  if (words === null) throw usage(`Bad argument \`${text.slice(text.lastIndexOf('"') + 1)}'`)
  const [verb, chain, ...rest] = words
  if (verb === undefined || !Object.hasOwn(VERBS, verb))
    throw usage(verb?.startsWith('-') === false ? `Bad argument \`${verb}'` : 'no command specified')
  if (chain === undefined && verb !== '-F' && verb !== '-X')
    throw usage(`option "${verb}" requires an argument`)
  VERBS[verb]!(draft, chain ?? '', rest)
}

type Verb = (draft: Draft, chain: string, rest: readonly string[]) => void

const VERBS: Readonly<Record<string, Verb>> = {
  '-A': (draft, chain, rest) => {
    const rule = compile(draft, rest, chain)
    draft.table.splice(chain, need(draft, chain).length, 0, rule)
    checkTaken(rule, chain)
  },
  '-I': (draft, chain, rest) => {
    const numbered = rest[0] !== undefined && !/^[-!]/.test(rest[0])
    const at = numbered ? place(rest[0]!) : 0
    const rule = compile(draft, numbered ? rest.slice(1) : rest, chain)
    if (at > need(draft, chain).length) throw line('Index of insertion too big')
    draft.table.splice(chain, at, 0, rule)
    checkTaken(rule, chain)
  },
  '-R': (draft, chain, rest) => {
    const at = place(rest[0] ?? '')
    const rule = compile(draft, rest.slice(1), chain)
    if (at >= need(draft, chain).length) throw line('Index of replacement too big')
    draft.table.splice(chain, at, 1, rule)
    checkTaken(rule, chain)
  },
  '-D': (draft, chain, rest) => {
    if (rest.length === 1 && !/^[-!]/.test(rest[0]!)) {
      const at = place(rest[0]!)
      if (at >= need(draft, chain).length) throw line('Index of deletion too big')
      draft.table.splice(chain, at, 1)
      return
    }
    const { text } = compile(draft, rest, chain)
    const at = need(draft, chain).findIndex(rule => rule.text === text)
    if (at < 0) throw line('Bad rule (does a matching rule exist in that chain?)')
    draft.table.splice(chain, at, 1)
  },
  '-N': (draft, chain, rest) => {
    noMore(rest)
    checkChainName(draft, chain)
    if (draft.table.rules(chain) !== undefined) throw line('Chain already exists')
    draft.table.addChain(chain)
  },
  '-F': (draft, chain, rest) => {
    noMore(rest)
    for (const name of chain === '' ? draft.table.chainNames() : [chain]) {
      need(draft, name)
      draft.table.flush(name)
    }
  },
  '-X': (draft, chain, rest) => {
    noMore(rest)
    const all = draft.table.chainNames().filter(name => !draft.table.isBuiltIn(name))
    const names = chain === '' ? all : [chain]
    for (const name of names) {
      if (need(draft, name).length > 0 || draft.table.isReferenced(name) || draft.table.isBuiltIn(name))
        throw busy(draft, name)
    }
    for (const name of names) draft.table.removeChain(name)
  },
  '-P': (draft, chain, [policy = '', ...rest]) => {
    noMore(rest)
    setPolicy(draft, chain, policy)
  },
}

function noMore(rest: readonly string[]): void {
  if (rest[0] !== undefined) throw usage(`Bad argument \`${rest[0]}'`)
}

/** A rule's number, from 1 in the text and from 0 here. */
function place(word: string): number {
  const number = readNumber(word, 0x7fffffff)
  if (number === null || number === 0) throw usage(`Invalid rule number \`${word}'`)
  return number - 1
}

function need(draft: Draft, chain: string): readonly KernelRule[] {
  const rules = draft.table.rules(chain)
  if (rules === undefined) throw line(NO_CHAIN)
  return rules
}

/** The rule as the kernel holds it; some interfaces do not exist in the kernel's own chains. */
function compile(draft: Draft, words: readonly string[], chain: string): KernelRule {
  const { table } = draft
  const rule = compileRule(words, {
    ...draft,
    chain: name => (table.isBuiltIn(name) ? 'built-in' : table.rules(name) === undefined ? undefined : 'own'),
  })
  const without = { INPUT: '-o', PREROUTING: '-o', OUTPUT: '-i', POSTROUTING: '-i' }[chain]
  if (without !== undefined && table.isBuiltIn(chain) && ` ${rule.text}`.includes(` ${without} `))
    throw usage(`Can't use ${without} with ${chain}\n`)
  const misplaced = rule.placements.some(({ tables }) => tables?.includes(table.name) === false)
  return misplaced ? { ...rule, refused: rule.refused ?? 'Invalid argument' } : rule
}

/** The rule stays in the draft, so that what follows is counted as the tool counts it. */
function checkTaken({ refused }: KernelRule, chain: string): void {
  if (refused !== null)
    throw new ToolFailure('kernel', `RULE_APPEND failed (${refused}): rule in chain ${chain}`)
}
