import { PodfenceError } from '../errors.ts'
import type { HostFacts } from './setting.ts'
import {
  environmentLayer,
  type FileEntry,
  fileLayer,
  flagLayer,
  type IgnoredKey,
  type Layer,
  type Origin,
  storeLayer,
} from './setting-layers.ts'
import { SETTING_NAMES, type SettingName, type Settings, settingOf, variableOf } from './setting-table.ts'

export interface SettingSources {
  readonly flags: ReadonlyMap<SettingName, string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** The YAML file as read; null where there is none. */
  readonly file: { readonly path: string; readonly entries: readonly FileEntry[] } | null
  /** The store's config keys (`NAME` or `HOST/NAME`) and texts; empty before the first snapshot. */
  readonly store: ReadonlyMap<string, string>
  readonly host: HostFacts
}

/** The sources with these settings alone: for a verb that what is wrong with others must not keep from its work. */
export function sourcesOf(sources: SettingSources, names: readonly SettingName[]): SettingSources {
  const variables = names.map(variableOf)
  const { env, file } = sources
  return {
    ...sources,
    env: Object.fromEntries(Object.entries(env).filter(([variable]) => variables.includes(variable))),
    file: file && {
      path: file.path,
      entries: file.entries.filter(({ name }) => names.some(known => known === name)),
    },
  }
}

export interface ResolvedSettings {
  readonly settings: Settings
  readonly origins: Readonly<Record<SettingName, Origin>>
  /** Config keys of the store that have no effect, for log and status. */
  readonly ignored: readonly IgnoredKey[]
}

/**
 * Every setting's value and origin: flag over environment over file over store over default.
 * Throws CONFIG_INVALID with every error of flags, environment and file, one a line. What is wrong in
 * the store is in `ignored` instead. `before`: what held until now, for a store's text that cannot be read.
 */
export function resolveSettings(
  sources: SettingSources,
  before: ResolvedSettings | null = null,
): ResolvedSettings {
  const layers: Layer[] = [flagLayer(sources.flags), environmentLayer(sources.env)]
  if (sources.file !== null) layers.push(fileLayer(sources.file.path, sources.file.entries))
  const merged = merge(layers, sources.host)
  // A value that failed to parse stands as its default: what values mean together is only asked of whole ones.
  const errors = merged.errors.length > 0 ? merged.errors : contradictions(settingsOf(merged))
  if (errors.length > 0) throw new PodfenceError('CONFIG_INVALID', errors.join('\n'))
  const store = storeLayer(sources.store, String(merged.values.get('hostName')), fromStore(before))
  const refused = takeStore(merged, store.layer)
  return {
    settings: settingsOf(merged),
    origins: Object.fromEntries(merged.origins) as Record<SettingName, Origin>,
    ignored: [...store.ignored, ...refused],
  }
}

/**
 * Adds to `merged` what the store says where nothing nearer does. A value that contradicts the others is
 * left out and told; two keys that only fit together (an interval and its time to live) find each other
 * in a second pass.
 */
function takeStore(merged: Merged, store: Layer): IgnoredKey[] {
  const pending = new Map([...store.given].filter(([name]) => merged.origins.get(name)!.kind === 'default'))
  let refused: IgnoredKey[] = []
  for (let left = -1; left !== pending.size; ) {
    left = pending.size
    refused = []
    for (const [name, { raw, origin }] of pending) {
      const wrong = contradictions({ ...settingsOf(merged), [name]: raw })
      if (wrong.length > 0) {
        refused.push({ key: origin.where, reason: wrong.join(' '), warn: true })
        continue
      }
      merged.values.set(name, raw)
      merged.origins.set(name, origin)
      pending.delete(name)
    }
  }
  return refused
}

function settingsOf(merged: Merged): Settings {
  return Object.fromEntries(merged.values) as unknown as Settings
}

interface Merged {
  readonly values: Map<SettingName, unknown>
  readonly origins: Map<SettingName, Origin>
  readonly errors: string[]
}

/** The first layer that names a setting gives its value; every error of every layer is kept. */
function merge(layers: readonly Layer[], host: HostFacts): Merged {
  const merged: Merged = {
    values: new Map(),
    origins: new Map(),
    errors: layers.flatMap(layer => layer.errors),
  }
  for (const name of SETTING_NAMES) {
    const { kind, default: standard } = settingOf(name)
    merged.values.set(name, typeof standard === 'function' ? standard(host) : standard)
    merged.origins.set(name, { kind: 'default', where: 'default' })
    for (const layer of layers.toReversed()) {
      const given = layer.given.get(name)
      if (given === undefined) continue
      try {
        merged.values.set(name, kind.parse(given.raw))
        merged.origins.set(name, given.origin)
      } catch (error) {
        merged.errors.push(`${given.origin.where}: ${name} ${(error as Error).message}`)
      }
    }
  }
  return merged
}

function fromStore(before: ResolvedSettings | null): Map<SettingName, unknown> {
  const values = new Map<SettingName, unknown>()
  for (const name of before === null ? [] : SETTING_NAMES)
    if (before!.origins[name].kind === 'store') values.set(name, before!.settings[name])
  return values
}

/** What cannot be meant together, as sentences. */
function contradictions(settings: Settings): string[] {
  const wrong: string[] = []
  if (settings.source === 'files' && settings.filesDirectory === null)
    wrong.push('source is files, and filesDirectory is not set.')
  if (settings.source === 'etcd' && settings.etcdEndpoints.length === 0)
    wrong.push('source is etcd, and etcdEndpoints is empty.')
  if ((settings.etcdCert === null) !== (settings.etcdKey === null))
    wrong.push('etcdCert and etcdKey belong together, and only one of them is set.')
  if (settings.etcdPassword !== null && settings.etcdPasswordFile !== null)
    wrong.push('etcdPassword and etcdPasswordFile are both set; one is enough.')
  const password = settings.etcdPassword !== null || settings.etcdPasswordFile !== null
  if ((settings.etcdUser !== null) !== password)
    wrong.push(
      'etcdUser and etcdPassword (or etcdPasswordFile) belong together, and only one of them is set.',
    )
  if (settings.k8sAuthToken !== null && settings.k8sAuthTokenFile !== null)
    wrong.push('k8sAuthToken and k8sAuthTokenFile are both set; one is enough.')
  if (settings.interfacePrefixes.length + settings.bridges.length === 0)
    wrong.push('interfacePrefixes and bridges are both empty, so no workload could be recognised.')
  for (const bridge of settings.bridges) {
    const prefix = settings.interfacePrefixes.find(candidate => bridge.startsWith(candidate))
    if (prefix !== undefined)
      wrong.push(
        `The bridge ${bridge} starts with the interface prefix ${prefix}, so it would be taken for a workload.`,
      )
  }
  if (settings.statusInterval > 0 && settings.statusTtl <= settings.statusInterval)
    wrong.push('statusTtl must be longer than statusInterval, or the status vanishes between two reports.')
  return wrong
}

/** What a running agent makes of newly resolved settings. */
export interface Reload {
  /** The running settings with every live change applied. */
  readonly settings: Settings
  readonly applied: readonly SettingName[]
  /** Changed, and only taken at the next start. */
  readonly needRestart: readonly SettingName[]
}

export function reloadSettings(running: Settings, resolved: Settings): Reload {
  const changed = SETTING_NAMES.filter(name => {
    const { kind } = settingOf(name)
    return kind.print(running[name]) !== kind.print(resolved[name])
  })
  const applied = changed.filter(name => settingOf(name).live)
  const settings = { ...running, ...Object.fromEntries(applied.map(name => [name, resolved[name]])) }
  return { settings, applied, needRestart: changed.filter(name => !settingOf(name).live) }
}
