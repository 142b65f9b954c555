import { Command } from 'commander'
import type { SettingName } from '../runtime/setting-table.ts'
import { addSettingFlags, commandSources, ETCD_SETTINGS } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

const CONTROLLER_SETTINGS: readonly SettingName[] = [
  'hostName',
  ...ETCD_SETTINGS,
  'kubeconfig',
  'k8sApiRoot',
  'k8sAuthTokenFile',
  'k8sCa',
  'annotationPolicy',
  'defaultPolicy',
  'annotationCombine',
  'leaseName',
  'leaseNamespace',
  'leaseDuration',
  'sourceGrace',
  'healthAddress',
  'metricsAddress',
  'logLevel',
  'logFormat',
]

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const controller = new Command('controller').description(
    'Watches Kubernetes and keeps etcd as it wants it, for agents that watch etcd, until it gets SIGTERM. Of several ' +
      'controllers the one that holds the Lease writes. The tree stands when it ends.',
  )
  return addSettingFlags(controller, CONTROLLER_SETTINGS).action(async () => {
    const { runController } = await import('../controller.ts')
    ended(await runController(await commandSources(controller, terminal)))
  })
}
