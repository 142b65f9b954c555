import type { ConfigSetting } from '../model/config-key.ts'
import type { SettingKind } from './setting-kinds.ts'

/** What the host itself tells, for defaults. */
export interface HostFacts {
  readonly hostname: string
}

export interface Setting<Value> extends SettingTraits<Value> {
  readonly kind: SettingKind<Value>
}

interface SettingTraits<Value> {
  readonly default: Value | ((host: HostFacts) => Value)
  /** One line for people. */
  readonly doc: string
  /** A key under /calico/v1/config/ that may set it, below flag, variable and file. */
  readonly store?: StoreKey<Value>
  /** True: a running agent takes the new value on SIGHUP. */
  readonly live?: true
  /** True: never printed, and no flag, since everyone may read a process's arguments. */
  readonly secret?: true
}

export interface StoreKey<Value> {
  readonly key: ConfigSetting['name']
  /** The setting's value, from what the model read of that key. */
  readonly value: (setting: ConfigSetting) => Value
  /** What holds while the store's value cannot be read and none was good before; without it the default. */
  readonly unreadable?: Value
}

/** A key whose value is, times `unit`, the setting's own. */
export function scaled(key: ConfigSetting['name'], unit: number): StoreKey<number> {
  return { key, value: ({ value }) => Number(value) * unit }
}

/** One row of the table. */
export function setting<Value>(
  kind: SettingKind<Value>,
  traits: SettingTraits<NoInfer<Value>>,
): Setting<Value> {
  return { kind, ...traits }
}
