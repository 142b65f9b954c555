import type { Finding } from '../../../src/cli/finding.ts'
import type { HostFiles } from '../../../src/cli/host-files.ts'
import type { Ended, Processes, RunOptions } from '../../../src/kernel/process.ts'
import type { SettingName, Settings } from '../../../src/runtime/setting-table.ts'
import { resolveSettings, type SettingSources } from '../../../src/runtime/settings.ts'

export type Answer = Partial<Ended> | undefined

/** Programs that answer as given; those without an answer are not installed. */
export function programs(
  answer: (file: string, args: readonly string[], options?: RunOptions) => Answer,
): Processes {
  const absent: Ended = { code: null, signal: null, stdout: '', stderr: '', timedOut: false, missing: true }
  const never = () => {
    throw new Error('not used')
  }
  return {
    async run(file, args, options) {
      const said = answer(file, args, options)
      return said === undefined ? absent : { ...absent, missing: false, code: 0, ...said }
    },
    start: never,
    stopAll: () => {},
  }
}

export function files(
  texts: Record<string, string>,
  writable: readonly string[] = [],
  directories: Record<string, readonly string[]> = {},
  links: Record<string, string> = {},
): HostFiles {
  return {
    text: async path => texts[path] ?? null,
    writable: async path => writable.includes(path),
    names: async path => directories[path] ?? null,
    real: async path => links[path] ?? path,
  }
}

/** Settings given as flags, and nothing else. */
export function flags(given: Partial<Record<SettingName, string>>): SettingSources {
  const flags = new Map(Object.entries(given) as [SettingName, string][])
  return { flags, env: {}, file: null, store: new Map(), host: { hostname: 'node1' } }
}

/** All settings, of which these are given. */
export function settings(given: Partial<Record<SettingName, string>>): Settings {
  return resolveSettings(flags(given)).settings
}

export function levels(findings: readonly Finding[]): string[] {
  return findings.map(({ what, level }) => `${what} ${level}`)
}
