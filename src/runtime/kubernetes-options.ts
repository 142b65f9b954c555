import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { type ApiAccess, anonymousAccess, type Material, serverRoot } from '../source/kubernetes/access.ts'
import { inClusterAccess } from '../source/kubernetes/in-cluster.ts'
import { readKubeconfig } from '../source/kubernetes/kubeconfig.ts'
import type { Settings } from './setting-table.ts'

type Given = Pick<Settings, 'kubeconfig' | 'k8sApiRoot' | 'k8sAuthToken' | 'k8sAuthTokenFile' | 'k8sCa'>

/**
 * How to reach the Kubernetes API: the kubeconfig, else `k8sApiRoot`, else the service account of the pod we run in.
 * A token or CA that is set by itself stands in the place of the one found there. Throws CONFIG_INVALID when none of the
 * three is there, or when one cannot be read.
 */
export async function kubernetesOptions(
  settings: Given,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ApiAccess> {
  const access = await accessOf(settings, env)
  const token = tokenOf(settings)
  return {
    ...access,
    ...(token === null ? {} : { token }),
    // Whoever names a CA wants the server's certificate to be looked at.
    ...(settings.k8sCa === null ? {} : { ca: { file: settings.k8sCa }, insecure: false }),
  }
}

async function accessOf(
  settings: Given,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ApiAccess> {
  if (settings.kubeconfig !== null) return await fromKubeconfig(settings.kubeconfig)
  if (settings.k8sApiRoot !== null) return fromRoot(settings.k8sApiRoot)
  const access = await inClusterAccess(env)
  if (access === null)
    throw new PodfenceError(
      'CONFIG_INVALID',
      'Nothing says how to reach the Kubernetes API: set kubeconfig or k8sApiRoot, or run in a pod (KUBERNETES_SERVICE_HOST is not set).',
    )
  return access
}

async function fromKubeconfig(file: string): Promise<ApiAccess> {
  try {
    return readKubeconfig(await readFile(file, 'utf8'), dirname(file))
  } catch (cause) {
    throw new PodfenceError('CONFIG_INVALID', `kubeconfig ${file}: ${(cause as Error).message}.`, { cause })
  }
}

function fromRoot(root: string): ApiAccess {
  try {
    return anonymousAccess(serverRoot(root))
  } catch (cause) {
    throw new PodfenceError('CONFIG_INVALID', `k8sApiRoot ${(cause as Error).message}.`, { cause })
  }
}

/** A file wins, since it is kept fresh. */
function tokenOf({ k8sAuthToken, k8sAuthTokenFile }: Given): Material | null {
  if (k8sAuthTokenFile !== null) return { file: k8sAuthTokenFile }
  return k8sAuthToken === null ? null : { text: k8sAuthToken }
}
