/** A secret or certificate: its text, or the file that holds it, which is read again when it changes. */
export type Material = { readonly text: string } | { readonly file: string }

/** How to reach a Kubernetes API, whoever said so: a kubeconfig, the settings, or the pod we run in. */
export interface ApiAccess {
  /** `https://HOST:PORT`, with what a proxy wants in front of `/api`; no slash at the end. */
  readonly server: string
  readonly token: Material | null
  /** PEM; null: the CAs that Node trusts. */
  readonly ca: Material | null
  readonly clientCertificate: Material | null
  readonly clientKey: Material | null
  /** The name in the server's certificate, where it is not the host of `server`. */
  readonly serverName: string | null
  /** The server's certificate is not looked at. */
  readonly insecure: boolean
  /** The namespace that whoever gave this access lives in. */
  readonly namespace: string | null
}

/** Access to a server with nothing to show. */
export function anonymousAccess(server: string): ApiAccess {
  return {
    server,
    token: null,
    ca: null,
    clientCertificate: null,
    clientKey: null,
    serverName: null,
    insecure: false,
    namespace: null,
  }
}

/**
 * A server's URL without what follows the API's root: `https://10.100.0.1:443/api/v1/` is `https://10.100.0.1:443`.
 * Throws an Error that continues the sentence `NAME ...` when it cannot be meant.
 */
export function serverRoot(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw new Error(`must be of the form https://HOST:PORT, not ${JSON.stringify(given.slice(0, 100))}`)
  const prefix = url.pathname.replace(/\/apis?(\/.*)?$/, '').replace(/\/+$/, '')
  return `${url.origin}${prefix}`
}
