import { type Backend, chooseBackend, otherBackend } from '../kernel/backend.ts'
import { KernelDriver } from '../kernel/driver.ts'
import type { Processes } from '../kernel/process.ts'
import { familiesStanding } from '../kernel/standing.ts'
import { FAMILIES, type Family } from '../model/values.ts'
import { HOOKS } from '../render/hooks.ts'
import { Renderer } from '../render/renderer.ts'
import { readHostTraits, renderOptions } from './render-options.ts'
import type { Settings } from './setting-table.ts'

/** Which families were closed now, and in which rules of ours stand already, in either backend. */
export interface GateReport {
  readonly backend: Backend
  readonly closed: readonly Family[]
  readonly standing: readonly Family[]
}

/**
 * Closes this node's workloads in each family in which no rules of ours stand, as the agent does before its first sync.
 * Asks no store. Throws PREREQUISITE_MISSING, KERNEL_UNREADABLE, KERNEL_BUSY, KERNEL_REFUSED.
 */
export async function closeGate(processes: Processes, settings: Settings): Promise<GateReport> {
  const [traits, { backend }] = await Promise.all([
    readHostTraits(),
    chooseBackend(processes, settings.backend),
  ])
  const driver = new KernelDriver({ processes, backend, hooks: HOOKS })
  try {
    await driver.open()
    const gate = new Renderer(renderOptions(settings, traits)).gate()
    const closed = await driver.hold(gate, () => familiesStanding(processes, otherBackend(backend), HOOKS))
    return { backend, closed, standing: FAMILIES.filter(family => !closed.includes(family)) }
  } finally {
    await driver.close()
  }
}
