import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { type ApiAccess, anonymousAccess } from './access.ts'

/** Where kubelet puts the service account of a pod. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * The access that Kubernetes gives every pod: the API's address in the environment, the token and the CA in files.
 * Null when this process runs in no pod.
 */
export async function inClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  directory = SERVICE_ACCOUNT,
): Promise<ApiAccess | null> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  if (!host || !port) return null
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  return {
    ...anonymousAccess(server),
    token: { file: join(directory, 'token') },
    ca: { file: join(directory, 'ca.crt') },
    namespace: await readFile(join(directory, 'namespace'), 'utf8').then(
      text => text.trim() || null,
      () => null,
    ),
  }
}
