import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The paths of everything that a cluster proves itself with, made for it alone. */
export interface Certificates {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  /** Of one in `system:masters`, whom no rule of RBAC binds. */
  readonly adminCert: string
  readonly adminKey: string
  /** Signs the tokens of service accounts; `issuerPublic` proves them. */
  readonly issuerKey: string
  readonly issuerPublic: string
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes them in `folder`, for a server that is reached at `addresses`. */
export async function makeCertificates(folder: string, addresses: readonly string[]): Promise<Certificates> {
  const at = (name: string) => join(folder, name)
  const request = (name: string, subject: string, extensions: readonly string[], signer: readonly string[]) =>
    promisify(execFile)('openssl', [
      ...['req', '-x509', '-days', '30', ...NEW_KEY, '-subj', subject, ...signer],
      ...extensions.flatMap(extension => ['-addext', extension]),
      ...['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)],
    ])
  await request('ca', '/CN=podfence test', ['keyUsage=critical,keyCertSign'], [])
  const signer = ['-CA', at('ca.crt'), '-CAkey', at('ca.key')]
  const leaf = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature']
  const names = ['DNS:localhost', 'DNS:kubernetes', ...addresses.map(address => `IP:${address}`)]
  await Promise.all([
    request(
      'server',
      '/CN=kube-apiserver',
      [...leaf, 'extendedKeyUsage=serverAuth', `subjectAltName=${names.join(',')}`],
      signer,
    ),
    request('admin', '/O=system:masters/CN=admin', [...leaf, 'extendedKeyUsage=clientAuth'], signer),
  ])
  const issuer = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  writeFileSync(at('issuer.key'), issuer.privateKey.export({ type: 'sec1', format: 'pem' }))
  writeFileSync(at('issuer.pub'), issuer.publicKey.export({ type: 'spki', format: 'pem' }))
  return {
    ca: at('ca.crt'),
    serverCert: at('server.crt'),
    serverKey: at('server.key'),
    adminCert: at('admin.crt'),
    adminKey: at('admin.key'),
    issuerKey: at('issuer.key'),
    issuerPublic: at('issuer.pub'),
  }
}
