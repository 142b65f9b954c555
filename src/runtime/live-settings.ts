import type { Logger } from './log.ts'
import type { IgnoredKey } from './setting-layers.ts'
import type { SettingName, Settings } from './setting-table.ts'
import { type ResolvedSettings, reloadSettings, resolveSettings, type SettingSources } from './settings.ts'

/** The settings of a running agent: what it began with, and what the store's keys or SIGHUP make of that. */
export class LiveSettings {
  readonly #log: Logger
  #sources: SettingSources
  #resolved: ResolvedSettings
  #settings: Settings
  #needRestart: readonly SettingName[] = []

  constructor(sources: SettingSources, log: Logger) {
    this.#log = log
    this.#sources = sources
    this.#resolved = resolveSettings(sources)
    this.#settings = this.#resolved.settings
  }

  get now(): Settings {
    return this.#settings
  }

  get ignored(): readonly IgnoredKey[] {
    return this.#resolved.ignored
  }

  /** Changed settings that only the next start takes. */
  get needRestart(): readonly SettingName[] {
    return this.#needRestart
  }

  /** The store's config keys as they are now (`NAME` or `HOST/NAME`). What they may set holds at once. */
  takeStore(config: ReadonlyMap<string, string>): void {
    this.#sources = { ...this.#sources, store: new Map(config) }
    const before = this.#resolved
    this.#resolved = resolveSettings(this.#sources, before)
    const fromStore = Object.entries(this.#resolved.origins)
      .filter(([name, { kind }]) => kind === 'store' || before.origins[name as SettingName].kind === 'store')
      .map(([name]) => [name, this.#resolved.settings[name as SettingName]])
    this.#settings = { ...this.#settings, ...Object.fromEntries(fromStore) }
    for (const { key, reason, warn } of this.#resolved.ignored)
      if (warn && !before.ignored.some(old => old.key === key && old.reason === reason))
        this.#log.warn({ component: 'settings', key }, `ignored: ${reason}`)
  }

  /** SIGHUP: reads flags, environment and file again. A wrong file changes nothing and is told. */
  async reload(readSources: () => Promise<SettingSources>): Promise<void> {
    try {
      const sources = { ...(await readSources()), store: this.#sources.store }
      const resolved = resolveSettings(sources, this.#resolved)
      const { settings, applied, needRestart } = reloadSettings(this.#settings, resolved.settings)
      this.#sources = sources
      this.#resolved = resolved
      this.#settings = settings
      this.#needRestart = needRestart
      this.#log.level = settings.logLevel
      this.#log.info({ component: 'settings', applied, needRestart }, 'settings read again')
    } catch (err) {
      this.#log.error({ err, component: 'settings' }, 'the settings are wrong; those of before stand')
    }
  }
}
