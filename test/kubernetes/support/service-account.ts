import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Certificates } from './certificates.ts'
import { KubeClient } from './kube-client.ts'
import { objectPath } from './object-path.ts'

/** The name in every token; the server believes what this issuer signed. */
export const ISSUER = 'https://kubernetes.default.svc'

/** The least that the API server gives by its TokenRequest API. */
const LEAST_SECONDS = 600

/** A service account as a program has it: a token in a file, and what is needed beside it. */
export interface ServiceAccount {
  /** `NAMESPACE/NAME`. */
  readonly id: string
  /** `token`, `ca.crt` and `namespace`, as kubelet lays them into a pod. */
  readonly folder: string
  readonly tokenFile: string
  /** A kubeconfig that names the token's file. */
  readonly kubeconfig: string
  /** Asks as this service account, with the token that the file holds at that moment. */
  readonly client: KubeClient
  /**
   * Puts a new token into the file, in one step. Below 600 s, which the server itself does not go, it is signed here with
   * the server's own key, also one that has ended (below 0). The server believes a token for a minute after its end,
   * since clocks differ, and for up to 10 s longer when it has just seen it: -50 ends soon, -120 has ended.
   */
  renew(seconds?: number): Promise<string>
}

export interface AccountPlace {
  readonly url: string
  readonly admin: KubeClient
  readonly certificates: Certificates
  /** A folder of its own. */
  readonly folder: string
}

/** Lays out a service account that exists. */
export async function openServiceAccount(id: string, place: AccountPlace): Promise<ServiceAccount> {
  const { url, admin, certificates, folder } = place
  const [namespace = ''] = id.split('/')
  mkdirSync(folder, { recursive: true })
  const at = (name: string) => join(folder, name)
  const ca = readFileSync(certificates.ca, 'utf8')
  writeFileSync(at('ca.crt'), ca)
  writeFileSync(at('namespace'), namespace)
  const kubeconfig = { server: url, ca: at('ca.crt'), user: { tokenFile: at('token') }, namespace }
  writeFileSync(at('kubeconfig'), kubeconfigText(kubeconfig))

  const granted = async (seconds: number) => {
    const request = {
      ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
      spec: { expirationSeconds: seconds },
    }
    const path = `${objectPath('ServiceAccount', id)}/token`
    return (await admin.ask<{ status: { token: string } }>('POST', path, request)).status.token
  }
  const signed = async (seconds: number) => {
    const { metadata } = await admin.get('ServiceAccount', id)
    return signedToken(id, metadata.uid!, seconds, readFileSync(certificates.issuerKey, 'utf8'))
  }
  const account: ServiceAccount = {
    id,
    folder,
    tokenFile: at('token'),
    kubeconfig: at('kubeconfig'),
    client: new KubeClient(url, { ca, token: () => readFileSync(at('token'), 'utf8') }),
    async renew(seconds = 3600) {
      const token = await (seconds < LEAST_SECONDS ? signed : granted)(seconds)
      writeFileSync(at('token.new'), token, { mode: 0o600 })
      renameSync(at('token.new'), at('token'))
      return token
    },
  }
  await account.renew()
  return account
}

/** A kubeconfig of one server and one user, as YAML. */
export function kubeconfigText(words: {
  readonly server: string
  /** The CA's file. */
  readonly ca: string
  readonly user: Readonly<Record<string, string>>
  readonly namespace?: string
}): string {
  const { server, ca, user, namespace } = words
  return stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': ca } }],
    users: [{ name: 'test', user }],
    contexts: [
      { name: 'test', context: { cluster: 'test', user: 'test', ...(namespace ? { namespace } : {}) } },
    ],
  })
}

function signedToken(id: string, uid: string, seconds: number, key: string): string {
  const [namespace, name] = id.split('/')
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    ...{ iss: ISSUER, aud: [ISSUER], sub: `system:serviceaccount:${namespace}:${name}`, jti: randomUUID() },
    ...{ iat: now, nbf: now, exp: now + seconds },
    'kubernetes.io': { namespace, serviceaccount: { name, uid } },
  }
  const text = [{ alg: 'ES256', typ: 'JWT' }, claims]
    .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  const signature = sign('sha256', Buffer.from(text), {
    key: createPrivateKey(key),
    dsaEncoding: 'ieee-p1363',
  })
  return `${text}.${signature.toString('base64url')}`
}
