import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkCertificates } from '../../src/cli/check-certificates.ts'
import { files, settings } from './support/check-host.ts'

t.test('certificates: how long they are good for', async t => {
  const directory = t.testdir({})
  const file = join(directory, 'ca.pem')
  const made = ['-keyout', join(directory, 'key.pem'), '-out', file, '-days', '90', '-subj', '/CN=podfence']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...made], { stdio: 'ignore' })
  const pem = readFileSync(file, 'utf8')
  const day = 24 * 3_600_000
  const at = (days: number, text: string | null = pem) =>
    checkCertificates(
      settings({ etcdEndpoints: 'https://127.0.0.1:2379', etcdCa: file }),
      files(text === null ? {} : { [file]: text }),
      {},
      new Date(Date.now() + days * day),
    )
  t.match(await at(0), [{ level: 'green', what: `etcdCa ${file}`, says: /^is good until \d{4}-\d\d-\d\d$/ }])
  t.match(await at(70), [{ level: 'yellow', says: /^expires on / }])
  t.match(await at(91), [{ level: 'red', says: /^expired on / }])
  t.match(await at(-2), [{ level: 'red', says: /^is good from /, remedy: /clock/ }])
  t.match(await at(0, `${pem}${pem}`), [{ level: 'green', says: /^its 2 certificates are good until / }])
  t.match(await at(0, 'no PEM'), [{ level: 'red', says: 'holds no certificate' }])
  t.match(await at(0, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'), [{ level: 'red' }])
  t.match(await at(0, null), [{ level: 'red', says: 'cannot be read' }])
  t.same(
    await checkCertificates(settings({ source: 'files', filesDirectory: '/x' }), files({}), {}, new Date()),
    [],
  )
  const kubeconfig = join(directory, 'kubeconfig')
  t.same(
    await checkCertificates(settings({ source: 'kubernetes', kubeconfig }), files({}), {}, new Date()),
    [],
    'a kubeconfig that is not there is told of the source',
  )
})

t.test('certificates: several in one file', async t => {
  const directory = t.testdir({})
  const made = (name: string, days: number) => {
    const out = join(directory, `${name}.pem`)
    const rest = [
      '-keyout',
      join(directory, 'key.pem'),
      '-out',
      out,
      '-days',
      String(days),
      '-subj',
      `/CN=${name}`,
    ]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...rest], { stdio: 'ignore' })
    return readFileSync(out, 'utf8')
  }
  const [old, young] = [made('old', 10), made('young', 90)]
  const etcdEndpoints = 'https://127.0.0.1:2379'
  const given = settings({ etcdEndpoints, etcdCa: '/ca', etcdCert: '/cert', etcdKey: '/key' })
  const at = async (days: number, ca: string, cert: string) => {
    const now = new Date(Date.now() + days * 24 * 3_600_000)
    return checkCertificates(given, files({ '/ca': ca, '/cert': cert }), {}, now)
  }
  t.match(
    await at(20, `${old}${young}`, `${young}${old}`),
    [
      {
        level: 'yellow',
        what: 'etcdCa /ca',
        says: /^one is good until \d{4}-\d\d-\d\d; CN=old expired on \d{4}-\d\d-\d\d$/,
      },
      { level: 'yellow', what: 'etcdCert /cert', says: /^is good until .*; CN=old expired on / },
    ],
    'a rotation: TLS works',
  )
  t.match(await at(0, `${old}${young}`, `${young}${young}`), [
    { level: 'yellow', says: /^one is good until .*; CN=old expires on / },
    { level: 'green' },
  ])
  t.match(await at(70, `${old}${young}`, young), [
    { level: 'yellow', says: /^CN=old expired on .*; CN=young expires on / },
    { level: 'yellow', says: /^expires on / },
  ])
  t.match(await at(91, `${old}${young}`, young), [
    { level: 'red', says: /^none is good now: CN=old expired on .*; CN=young expired on / },
    { level: 'red', says: /^expired on / },
  ])
  t.match(
    await at(20, young, `${old}${young}`),
    [{ level: 'green' }, { level: 'red', says: /^expired on / }],
    'the first one of a chain is the client',
  )
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  t.match(await at(0, `${young}${broken}`, `${young}${broken}`), [{ level: 'red' }, { level: 'red' }])
})
