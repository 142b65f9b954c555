import type { KernelDriver } from '../kernel/driver.ts'
import type { AgentNotes } from './agent-status.ts'
import type { Enforcement } from './enforcement.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Logger } from './log.ts'
import { type HostTraits, renderOptions } from './render-options.ts'

export interface RuleSettingsOptions {
  readonly live: LiveSettings
  readonly traits: HostTraits
  readonly enforcement: Enforcement
  readonly driver: Pick<KernelDriver, 'limitSets'>
  readonly log: Logger
  readonly notes: Pick<AgentNotes, 'ignoredConfig' | 'needRestart'>
}

/** The settings, and what of the host, that shape the text of the rules; the next step writes what they change. */
export class RuleSettings {
  readonly #options: RuleSettingsOptions
  #traits: HostTraits
  #rendered: string

  constructor(options: RuleSettingsOptions) {
    this.#options = options
    this.#traits = options.traits
    this.#rendered = this.#renderKey()
  }

  get traits(): HostTraits {
    return this.#traits
  }

  /** The host as it is now; false when nothing has changed. */
  takeTraits({ bridgeFilter }: HostTraits): boolean {
    if (bridgeFilter === this.#traits.bridgeFilter) return false
    const { log, live } = this.#options
    this.#traits = { ...this.#traits, bridgeFilter }
    if (live.now.bridges.length > 0)
      log[bridgeFilter ? 'info' : 'error'](
        { component: 'kernel', bridges: live.now.bridges },
        bridgeFilter ? 'br_netfilter is there now' : 'br_netfilter is gone: bridges are not filtered',
      )
    this.takeSettings()
    return true
  }

  /** The settings as they are now: a SIGHUP or the store may have changed them. */
  takeSettings(): void {
    const { live, enforcement, driver, notes, log } = this.#options
    live.takeStore(enforcement.intake.config)
    notes.ignoredConfig = live.ignored
    notes.needRestart = live.needRestart
    const rendered = this.#renderKey()
    if (rendered === this.#rendered) return
    this.#rendered = rendered
    log.info(
      { component: 'settings' },
      'the settings of the rules changed: all of them are written anew where they differ',
    )
    driver.limitSets(live.now.maxSetSize)
    enforcement.setRenderOptions(renderOptions(live.now, this.#traits))
  }

  /** Equal exactly while the rendered text and the sets' limit would be. */
  #renderKey(): string {
    const { live } = this.#options
    const { protocolNames: _, ...options } = renderOptions(live.now, this.#traits)
    return JSON.stringify([options, live.now.maxSetSize])
  }
}
