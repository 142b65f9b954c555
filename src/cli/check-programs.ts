import {
  type Backend,
  backendMismatch,
  chooseBackend,
  otherBackend,
  readHints,
  toolName,
} from '../kernel/backend.ts'
import { findRemovals } from '../kernel/cleanup.ts'
import type { Processes } from '../kernel/process.ts'
import { FAMILIES } from '../model/values.ts'
import { formerRules } from '../runtime/other-backend.ts'
import { type Finding, green, red, yellow } from './finding.ts'

/** How each program names its version, and what its absence costs. */
const PROGRAMS: readonly (readonly [name: string, option: string, needed: boolean, remedy: string])[] = [
  ['ipset', '-v', true, 'Install the package ipset.'],
  [
    'conntrack',
    '-V',
    true,
    'Install the package conntrack, or set cut to off: then open connections outlive a change.',
  ],
  [
    'nft',
    '-v',
    false,
    'Install the package nftables: without it foreign changes are repaired by the timer alone.',
  ],
]

/** Versions of the programs that podfence drives. */
export async function checkPrograms(processes: Processes): Promise<Finding[]> {
  return Promise.all(
    PROGRAMS.map(async ([name, option, needed, remedy]) => {
      const { code, stdout, stderr, missing } = await processes.run(name, [option], { timeoutMs: 10_000 })
      const first = `${stdout}\n${stderr}`.trim().split('\n')[0] ?? ''
      // ipset prints its version and still fails where it may not reach the kernel; that is told elsewhere.
      if (!missing && (code === 0 || stdout !== '')) return green(name, first)
      const says = missing ? 'is not installed' : `does not run: ${first}`
      return needed ? red(name, says, remedy) : yellow(name, says, remedy)
    }),
  )
}

export interface BackendFinding {
  /** null when there is none to write to. */
  readonly backend: Backend | null
  readonly findings: readonly Finding[]
}

/** Which iptables is written to, whether its tools are there, and whether others on this host use the same. */
export async function checkBackend(processes: Processes, setting: 'auto' | Backend): Promise<BackendFinding> {
  let backend: Backend
  const findings: Finding[] = []
  try {
    const choice = await chooseBackend(processes, setting)
    backend = choice.backend
    findings.push(green('iptables', `${choice.version}; backend ${backend} (${choice.because})`))
  } catch (error) {
    const remedy = 'Install the package iptables.'
    return { backend: null, findings: [red('iptables', (error as Error).message, remedy)] }
  }
  const tools = FAMILIES.flatMap(family => [
    toolName(backend, family, 'restore'),
    toolName(backend, family, 'save'),
  ])
  for (const tool of tools) {
    const { missing } = await processes.run(tool, ['--version'], { timeoutMs: 10_000 })
    if (missing) findings.push(red(tool, 'is not installed', `Install iptables with its ${backend} tools.`))
  }
  findings.push(await agreement(processes, backend), ...(await formerBackend(processes, backend)))
  return { backend, findings }
}

async function agreement(processes: Processes, backend: Backend): Promise<Finding> {
  const mismatch = backendMismatch(backend, await readHints(processes))
  if (mismatch !== null)
    return yellow('backend', mismatch, `Set backend to ${otherBackend(backend)}, as Kubernetes uses.`)
  return green('backend', 'no other program of this host is known to use the other one')
}

/** What a run with the other backend left there; nothing to say where there is none. */
async function formerBackend(processes: Processes, backend: Backend): Promise<Finding[]> {
  const other = otherBackend(backend)
  if ((await findRemovals(processes, other)).length === 0) return []
  const remedy = `The agent removes them once its rules stand in ${backend}; where none is to run, use podfence cleanup.`
  return [yellow(`iptables-${other}`, formerRules(other), remedy)]
}
