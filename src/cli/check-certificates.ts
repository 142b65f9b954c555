import { X509Certificate } from 'node:crypto'
import { kubernetesOptions } from '../runtime/kubernetes-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import type { Material } from '../source/kubernetes/access.ts'
import { type Finding, green, red, yellow } from './finding.ts'
import type { HostFiles } from './host-files.ts'

/** Time enough to renew one by hand. */
const SOON_MS = 30 * 24 * 3_600_000

interface Named {
  readonly what: string
  readonly material: Material
}

/** How long the certificates that the settings name are good for. Nothing where none is named. */
export async function checkCertificates(
  settings: Settings,
  files: HostFiles,
  env: Readonly<Record<string, string | undefined>>,
  now: Date,
): Promise<Finding[]> {
  const named =
    settings.source === 'kubernetes' ? await kubernetesMaterials(settings, env) : etcdMaterials(settings)
  return (
    await Promise.all(
      named.map(async ({ what, material }) => {
        const text = 'text' in material ? material.text : await files.text(material.file)
        const place = 'text' in material ? what : `${what} ${material.file}`
        if (text === null)
          return [red(place, 'cannot be read', 'Name the right file, readable by the agent.')]
        const pems = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
        if (pems.length === 0) return [red(place, 'holds no certificate', 'It must be PEM text.')]
        return pems.map(pem => judge(place, pem, now))
      }),
    )
  ).flat()
}

function etcdMaterials({ source, etcdCa, etcdCert }: Settings): Named[] {
  if (source !== 'etcd') return []
  return [
    { what: 'etcdCa', file: etcdCa },
    { what: 'etcdCert', file: etcdCert },
  ].flatMap(({ what, file }) => (file === null ? [] : [{ what, material: { file } }]))
}

/** None where the settings do not say how to reach the API: that is told of the source. */
async function kubernetesMaterials(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Named[]> {
  const access = await kubernetesOptions(settings, env).catch(() => null)
  return [
    { what: 'the CA of the Kubernetes API', material: access?.ca ?? null },
    { what: 'the client certificate for the Kubernetes API', material: access?.clientCertificate ?? null },
  ].flatMap(({ what, material }) => (material === null ? [] : [{ what, material }]))
}

function judge(place: string, pem: string, now: Date): Finding {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch (error) {
    return red(place, `holds a certificate that cannot be read: ${(error as Error).message}`, 'Get it anew.')
  }
  const [from, to] = [new Date(certificate.validFrom), new Date(certificate.validTo)]
  const day = (date: Date) => date.toISOString().slice(0, 10)
  if (now < from) return red(place, `is good from ${day(from)} on only`, "Look at this host's clock.")
  if (now >= to)
    return red(place, `expired on ${day(to)}`, 'Renew it; the agent reads it again when it starts.')
  if (to.getTime() - now.getTime() < SOON_MS) return yellow(place, `expires on ${day(to)}`, 'Renew it.')
  return green(place, `is good until ${day(to)}`)
}
