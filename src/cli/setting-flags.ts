import { hostname } from 'node:os'
import { type Command, Option } from 'commander'
import { flagOf, SETTING_NAMES, type SettingName, settingOf } from '../runtime/setting-table.ts'
import { type ResolvedSettings, resolveSettings, type SettingSources } from '../runtime/settings.ts'
import { readSettingsFile, settingsPath } from '../runtime/settings-file.ts'
import type { Terminal } from './terminal.ts'

/** What it takes to reach etcd. */
export const ETCD_SETTINGS: readonly SettingName[] = [
  'etcdEndpoints',
  'etcdCa',
  'etcdCert',
  'etcdKey',
  'etcdUser',
  'etcdPasswordFile',
]

/** Adds `--config` and the flags of these settings. An on/off flag may stand without a value, meaning on. */
export function addSettingFlags(command: Command, names: readonly SettingName[] = SETTING_NAMES): Command {
  command.option('--config <file>', 'settings file (default /etc/podfence/agent.yaml)')
  for (const name of names) {
    const flag = flagOf(name)
    if (flag === null) continue
    const { kind, doc } = settingOf(name)
    const value = kind.form === '`on` | `off`' ? '[on|off]' : '<value>'
    const option = new Option(`${flag} ${value}`, doc).helpGroup('Settings:')
    if (value === '[on|off]') option.preset('on')
    command.addOption(option)
  }
  return command
}

/** The settings given as flags, by name. */
export function givenFlags(command: Command): Map<SettingName, string> {
  const options: Record<string, unknown> = command.opts()
  const flags = new Map<SettingName, string>()
  for (const name of SETTING_NAMES)
    if (command.getOptionValueSource(name) === 'cli') flags.set(name, String(options[name]))
  return flags
}

/** The command line, environment and file as they are now; the store's part is for the agent to add. */
export async function commandSources(command: Command, terminal: Terminal): Promise<SettingSources> {
  const { config } = command.opts<{ config?: string }>()
  const file = await readSettingsFile(settingsPath(config, terminal.env))
  return { ...fileless(command, terminal), file }
}

/** The command line and environment alone. */
export function fileless(command: Command, terminal: Terminal): SettingSources {
  return {
    flags: givenFlags(command),
    env: terminal.env,
    file: null,
    store: new Map(),
    host: { hostname: hostname() },
  }
}

/** The settings of this command line, environment and file. Throws CONFIG_INVALID with all that is wrong. */
export async function commandSettings(command: Command, terminal: Terminal): Promise<ResolvedSettings> {
  return resolveSettings(await commandSources(command, terminal))
}
