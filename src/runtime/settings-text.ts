import type { Origin } from './setting-layers.ts'
import { SETTING_NAMES, type SettingName, settingOf, variableOf } from './setting-table.ts'
import type { ResolvedSettings } from './settings.ts'

/** One row of `podfence config`. */
export interface SettingRow {
  readonly name: SettingName
  /** As it would be written; `***` for a secret. */
  readonly value: string
  readonly origin: Origin
}

export function settingRows(resolved: ResolvedSettings): SettingRow[] {
  return SETTING_NAMES.map(name => {
    const { kind, secret } = settingOf(name)
    const value = kind.print(resolved.settings[name])
    return { name, value: secret && value !== '' ? '***' : value, origin: resolved.origins[name] }
  })
}

/** The table of all settings for the README, in Markdown. */
export function settingsMarkdown(): string {
  const rows = SETTING_NAMES.map(name => {
    const { kind, default: standard, doc, store, live, secret } = settingOf(name)
    const value = typeof standard === 'function' ? "the host's name" : code(kind.print(standard))
    const notes = [
      ...(store === undefined ? [] : [`Store key \`${store.key}\`.`]),
      ...(live ? ['Reloaded on SIGHUP.'] : []),
      ...(secret ? ['No flag.'] : []),
    ]
    return `| \`${name}\` | \`${variableOf(name)}\` | ${kind.form.replaceAll('|', '\\|')} | ${value} | ${[doc, ...notes].join(' ')} |`
  })
  return ['| setting | variable | form | default | what it does |', '|---|---|---|---|---|', ...rows].join(
    '\n',
  )
}

function code(text: string): string {
  return text === '' ? 'none' : `\`${text}\``
}
