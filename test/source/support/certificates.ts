import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A directory of this test's own. */
export function testDirectory(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'podfence-kubernetes-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Two authorities, `ca` and `other`; each signs a certificate for `server` (any names) and `client`. */
export class Certificates {
  readonly dir: string

  constructor(t: Test) {
    this.dir = testDirectory(t)
    for (const name of ['ca', 'other'])
      this.openssl('req', '-x509', ...this.fresh(name), '-out', `${name}.pem`, '-days', '2')
  }

  /** Signs `NAME.pem` with `NAME.key`. */
  sign(name: string, authority: 'ca' | 'other', names: string): void {
    writeFileSync(this.file('ext'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
    this.openssl('req', ...this.fresh(name), '-out', `${name}.csr`)
    this.openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${authority}.pem`, '-CAkey', `${authority}.key`],
      ...['-CAcreateserial', '-out', `${name}.pem`, '-extfile', 'ext', '-days', '2'],
    )
  }

  file(name: string): string {
    return join(this.dir, name)
  }

  text(name: string): string {
    return readFileSync(this.file(name), 'utf8')
  }

  private fresh(name: string): string[] {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    return [...key, '-keyout', `${name}.key`, '-subj', `/CN=${name}`]
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.dir, stdio: 'ignore' })
  }
}
