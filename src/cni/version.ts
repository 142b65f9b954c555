import { CniFailure } from '../runtime/cni/failure.ts'
import type { Command } from './environment.ts'

/** The versions of the CNI specification in which this plugin speaks, oldest first. */
export const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type Version = (typeof VERSIONS)[number]

/** In which version a command came. */
const SINCE: Partial<Record<Command, Version>> = { CHECK: '0.4.0', STATUS: '1.1.0', GC: '1.1.0' }

/** The configuration's version, which every answer has; one that has none is of the oldest. Throws CniFailure. */
export function versionOf(cniVersion: unknown): Version {
  const version = cniVersion ?? '0.1.0'
  if (VERSIONS.includes(version as Version)) return version as Version
  const message = `cniVersion ${JSON.stringify(version)} is not supported.`
  throw new CniFailure('INCOMPATIBLE_VERSION', message, `Supported are ${VERSIONS.join(', ')}.`)
}

/** Throws CniFailure when the version has no such command. */
export function mustKnow(version: Version, command: Command): void {
  const since = SINCE[command]
  if (since === undefined || atLeast(version, since)) return
  const message = `${command} is not part of CNI ${version}.`
  throw new CniFailure('INCOMPATIBLE_VERSION', message, `It came with ${since}.`)
}

export function atLeast(version: Version, other: Version): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(other)
}
