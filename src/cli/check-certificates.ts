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
  /** Any certificate of a file of CAs may be the one that counts; of a client's chain the first one is the client's. */
  readonly of: 'CAs' | 'client'
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
  return Promise.all(
    named.map(async ({ what, material, of }) => {
      const text = 'text' in material ? material.text : await files.text(material.file)
      const place = 'text' in material ? what : `${what} ${material.file}`
      if (text === null) return red(place, 'cannot be read', 'Name the right file, readable by the agent.')
      return judge(place, text, of, now)
    }),
  )
}

function etcdMaterials({ source, etcdCa, etcdCert }: Settings): Named[] {
  if (source !== 'etcd') return []
  return [
    { what: 'etcdCa', file: etcdCa, of: 'CAs' as const },
    { what: 'etcdCert', file: etcdCert, of: 'client' as const },
  ].flatMap(({ what, file, of }) => (file === null ? [] : [{ what, material: { file }, of }]))
}

/** None where the settings do not say how to reach the API: that is told of the source. */
async function kubernetesMaterials(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Named[]> {
  const access = await kubernetesOptions(settings, env).catch(() => null)
  return [
    { what: 'the CA of the Kubernetes API', material: access?.ca ?? null, of: 'CAs' as const },
    {
      what: 'the client certificate for the Kubernetes API',
      material: access?.clientCertificate ?? null,
      of: 'client' as const,
    },
  ].flatMap(({ what, material, of }) => (material === null ? [] : [{ what, material, of }]))
}

/** One finding for all certificates of a text. */
function judge(place: string, text: string, of: Named['of'], now: Date): Finding {
  const pems = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (pems.length === 0) return red(place, 'holds no certificate', 'It must be PEM text.')
  let terms: readonly Term[]
  try {
    terms = pems.map(pem => termOf(new X509Certificate(pem), now))
  } catch (error) {
    return red(place, `holds a certificate that cannot be read: ${(error as Error).message}`, 'Get it anew.')
  }
  const [first, ...others] = terms as [Term, ...Term[]]
  if (others.length === 0) return found(place, first)
  const limited = terms.filter(({ level }) => level !== 'green')
  if (limited.length === 0) {
    const earliest = terms.reduce((least, term) => (term.until < least.until ? term : least))
    return green(place, `its ${terms.length} certificates are good until ${day(earliest.until)}`)
  }
  const told = limited.map(({ subject, says }) => `${subject} ${says}`).join('; ')
  if (of === 'client') {
    if (first.level !== 'green') return found(place, first)
    return yellow(place, `${first.says}; ${told}`, 'Renew the rest of the chain.')
  }
  if (terms.every(({ level }) => level === 'red'))
    return red(place, `none is good now: ${told}`, first.remedy ?? '')
  const good = terms.find(({ level }) => level === 'green')
  return yellow(
    place,
    good === undefined ? told : `one ${good.says}; ${told}`,
    'Servers whose certificate such a CA has signed are trusted no more once it expires: renew theirs, then take it out.',
  )
}

/** What one certificate's dates mean at this moment. */
interface Term extends Pick<Finding, 'level' | 'says' | 'remedy'> {
  readonly subject: string
  readonly until: Date
}

function termOf({ validFrom, validTo, subject: lines }: X509Certificate, now: Date): Term {
  const [from, until] = [new Date(validFrom), new Date(validTo)]
  // Node's types do not say that it may be absent.
  const subject = (lines ?? 'one without a name').replaceAll('\n', ', ')
  if (now < from) {
    const remedy = "Look at this host's clock."
    return { level: 'red', says: `is good from ${day(from)} on only`, remedy, subject, until }
  }
  if (now >= until) {
    const remedy = 'Renew it; the agent reads it again when it starts.'
    return { level: 'red', says: `expired on ${day(until)}`, remedy, subject, until }
  }
  if (until.getTime() - now.getTime() < SOON_MS)
    return { level: 'yellow', says: `expires on ${day(until)}`, remedy: 'Renew it.', subject, until }
  return { level: 'green', says: `is good until ${day(until)}`, remedy: null, subject, until }
}

function found(what: string, { level, says, remedy }: Term): Finding {
  return { level, what, says, remedy }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
