import type { PodfenceError } from '../errors.ts'
import { kubernetesOptions } from '../runtime/kubernetes-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import { apiPath, NAMESPACES, NETWORK_POLICIES, PODS } from '../source/kubernetes/api-path.ts'
import { checkEtcd } from './check-etcd.ts'
import { type Finding, green, red } from './finding.ts'
import type { HostFiles } from './host-files.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Whether the agent would hear its source with these settings. */
export async function checkSource(settings: Settings, files: HostFiles, env: Environment): Promise<Finding> {
  if (settings.source === 'etcd') return checkEtcd(settings)
  return settings.source === 'files' ? checkFiles(settings, files) : checkKubernetes(settings, env)
}

async function checkFiles({ filesDirectory }: Settings, files: HostFiles): Promise<Finding> {
  const names = filesDirectory === null ? null : await files.names(filesDirectory)
  if (names === null)
    return red('files', `${filesDirectory} cannot be read`, 'Make the directory, readable by the agent.')
  return green('files', `${filesDirectory} holds ${names.length} files`)
}

/** Asks for one object of each kind that the agent lists. */
async function checkKubernetes(settings: Settings, env: Environment): Promise<Finding> {
  const { openKubernetes } = await import('../source/kubernetes/client.ts')
  try {
    const access = await kubernetesOptions(settings, env)
    const api = openKubernetes(access, { connectMs: 3000, answerMs: 5000 })
    try {
      for (const resource of [PODS, NAMESPACES, NETWORK_POLICIES])
        await api.get(apiPath(resource, {}, { limit: 1 }))
      return green('kubernetes', `${api.name} answers, and lets us list what the agent lists`)
    } finally {
      api.close()
    }
  } catch (error) {
    const { message, next } = error as PodfenceError
    return red('kubernetes', message, next)
  }
}
