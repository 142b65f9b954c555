import { etcdOptions } from '../runtime/etcd-options.ts'
import { settingOf } from '../runtime/setting-table.ts'
import { resolveSettings, type SettingSources } from '../runtime/settings.ts'
import type { Store } from '../source/store.ts'
import { ROOT } from '../source/v1-tree.ts'
import { CHECK_TIMES } from './check-etcd.ts'
import { type Finding, yellow } from './finding.ts'
import { GATE_SETTINGS } from './gate.ts'

/**
 * Settings of the gate that only the store says: they are not known while it is not reached. Nothing where the store
 * cannot be asked, which is told of the source.
 */
export async function checkStoreSettings(sources: SettingSources): Promise<Finding[]> {
  const { settings } = resolveSettings(sources)
  if (settings.source !== 'etcd') return []
  const { openEtcd } = await import('../source/etcd-client.ts')
  let told: ReadonlyMap<string, string>
  try {
    const store = openEtcd({ ...(await etcdOptions(settings)), ...CHECK_TIMES })
    told = await configOf(store, settings.hostName).finally(() => store.close())
  } catch {
    return []
  }
  const { settings: inSync, origins } = resolveSettings({ ...sources, store: told })
  return GATE_SETTINGS.flatMap(name => {
    const { kind } = settingOf(name)
    const [local, distant] = [kind.print(settings[name]), kind.print(inSync[name])]
    if (origins[name].kind !== 'store' || local === distant) return []
    return [
      yellow(
        name,
        `${origins[name].where} in etcd says ${distant}; until etcd is reached, gate and agent go by ${local}, which may leave workloads open`,
        `Put ${name}: ${distant} into the settings file: the gate closes workloads before etcd is reached.`,
      ),
    ]
  })
}

/** The texts of the config keys that set something of the gate, as SettingSources has them. */
async function configOf(store: Store, hostName: string): Promise<ReadonlyMap<string, string>> {
  const keys = GATE_SETTINGS.flatMap(name => settingOf(name).store?.key ?? [])
  const places = keys.flatMap(key => [
    { id: key, path: `${ROOT}config/${key}` },
    { id: `${hostName}/${key}`, path: `${ROOT}host/${hostName}/config/${key}` },
  ])
  const texts = new Map<string, string>()
  for (const { id, path } of places) {
    const { entry } = await store.get(path)
    if (entry !== null) texts.set(id, entry.value)
  }
  return texts
}
