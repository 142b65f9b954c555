import { readConfigKey } from '../model/config-key.ts'
import { nearest, suggestion } from './nearest.ts'
import { flagOf, SETTING_NAMES, type SettingName, settingOf, variableOf } from './setting-table.ts'

/** Where a value came from: which layer, and the place in it for people (`agent.yaml:3`). */
export interface Origin {
  readonly kind: 'flag' | 'environment' | 'file' | 'store' | 'default'
  readonly where: string
}

/** What one layer says, raw (the store's: values already, since its keys have a spelling of their own), with what is wrong with the layer itself (unknown names). */
export interface Layer {
  readonly given: ReadonlyMap<SettingName, { readonly raw: unknown; readonly origin: Origin }>
  readonly errors: readonly string[]
}

/** From the command line: values by setting name, as commander collects them. */
export function flagLayer(flags: ReadonlyMap<SettingName, string>): Layer {
  const given: LayerMap = new Map()
  for (const [name, raw] of flags) given.set(name, { raw, origin: { kind: 'flag', where: flagOf(name)! } })
  return { given, errors: [] }
}

type LayerMap = Map<SettingName, { raw: unknown; origin: Origin }>

/** Variables that are not settings: which file to read. */
export const CONFIG_VARIABLE = 'PODFENCE_CONFIG'

const VARIABLE_PREFIX = 'PODFENCE_'

/**
 * A variable that resembles a setting is a mistake. Others are let be: Kubernetes itself puts
 * PODFENCE_SERVICE_HOST, PODFENCE_PORT_9091_TCP and the like into containers beside a service of that name.
 */
export function environmentLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const names = new Map(SETTING_NAMES.map(name => [variableOf(name).slice(VARIABLE_PREFIX.length), name]))
  const given: LayerMap = new Map()
  const errors: string[] = []
  for (const [variable, raw] of Object.entries(env)) {
    if (raw === undefined || !variable.startsWith(VARIABLE_PREFIX) || variable === CONFIG_VARIABLE) continue
    const own = variable.slice(VARIABLE_PREFIX.length)
    const name = names.get(own)
    const meant = nearest(own, names.keys())
    if (name !== undefined) given.set(name, { raw, origin: { kind: 'environment', where: variable } })
    else if (meant !== null)
      errors.push(`The variable ${variable} is no setting. Did you mean "${VARIABLE_PREFIX}${meant}"?`)
  }
  return { given, errors }
}

/** One key of the YAML file, with its line. */
export interface FileEntry {
  readonly name: string
  readonly raw: unknown
  readonly line: number
}

export function fileLayer(path: string, entries: readonly FileEntry[]): Layer {
  const given: LayerMap = new Map()
  const errors: string[] = []
  for (const { name, raw, line } of entries) {
    const where = `${path}:${line}`
    const known = SETTING_NAMES.find(candidate => candidate === name)
    if (known === undefined)
      errors.push(`${where}: ${JSON.stringify(name)} is no setting.${suggestion(name, SETTING_NAMES)}`)
    else given.set(known, { raw, origin: { kind: 'file', where } })
  }
  return { given, errors }
}

/** A config key of the store that has no effect, and why. `warn`: somebody may rely on it. */
export interface IgnoredKey {
  readonly key: string
  readonly reason: string
  readonly warn: boolean
}

export interface StoreLayer {
  readonly layer: Layer
  readonly ignored: readonly IgnoredKey[]
}

/**
 * From the store's config keys: `NAME` for the cluster, `HOST/NAME` for one host (which wins), with their
 * texts. A text that cannot be read is not an error of the whole configuration, since whoever writes
 * the store must not stop the agent: the key is ignored, and `lastGood`, else what the table calls safest, holds.
 */
export function storeLayer(
  config: ReadonlyMap<string, string>,
  hostName: string,
  lastGood: ReadonlyMap<SettingName, unknown> = new Map(),
): StoreLayer {
  const given: LayerMap = new Map()
  const ignored: IgnoredKey[] = []
  for (const { key, where, text } of keysOf(config, hostName)) {
    const reading = readConfigKey(key, text)
    const origin: Origin = { kind: 'store', where }
    if (reading.read === 'ignored') {
      ignored.push({ key: where, reason: reading.reason, warn: reading.warn })
      continue
    }
    const name = SETTING_NAMES.find(candidate => settingOf(candidate).store?.key === key)!
    const { value, unreadable } = settingOf(name).store!
    if (reading.read === 'honoured') {
      given.set(name, { raw: value(reading.setting), origin })
      continue
    }
    ignored.push({ key: where, reason: `${reading.reason}. ${reading.remedy}`, warn: true })
    const fallback = lastGood.get(name) ?? unreadable
    if (fallback !== undefined && !given.has(name)) given.set(name, { raw: fallback, origin })
  }
  return { layer: { given, errors: [] }, ignored }
}

/** The keys that concern this host: the cluster's first, so that this host's own replace them. */
function keysOf(config: ReadonlyMap<string, string>, hostName: string) {
  const own = `${hostName}/`
  const entries = [...config]
  const cluster = entries
    .filter(([id]) => !id.includes('/'))
    .map(([key, text]) => ({ key, where: `/calico/v1/config/${key}`, text }))
  const host = entries
    .filter(([id]) => id.startsWith(own))
    .map(([id, text]) => ({ key: id.slice(own.length), text }))
    .map(({ key, text }) => ({ key, where: `/calico/v1/host/${hostName}/config/${key}`, text }))
  return [...cluster, ...host]
}
