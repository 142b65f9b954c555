import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { PodfenceError } from '../../errors.ts'
import type { ApiAccess, Material } from './access.ts'
import { FreshFile } from './fresh-file.ts'

/** What we show to the API server and expect of it, as fresh as the files that hold it. */
export class Credentials {
  private readonly token: Fresh | null
  private readonly pems: readonly [ca: Fresh | null, cert: Fresh | null, key: Fresh | null]
  private lastToken: string | null = null
  /** Of the texts that `context` was made of. */
  private made = ''
  private context: SecureContext | null = null

  constructor(access: ApiAccess) {
    this.token = fresh(access.token)
    this.pems = [fresh(access.ca), fresh(access.clientCertificate), fresh(access.clientKey)]
  }

  /** The bearer token, or null for none. Throws CONFIG_INVALID when its file was never readable, or holds no token. */
  async bearer(): Promise<string | null> {
    if (this.token === null) return null
    const token = (await readable(this.token)).trim()
    if (!/^[\x21-\x7e]+$/.test(token)) throw invalid(`${this.token.path} holds no token`)
    this.lastToken = token
    return token
  }

  /** After the server refused `token`: whether there is another one by now. */
  async renewed(token: string | null): Promise<boolean> {
    if (token === null || this.token === null) return false
    // Another request may have found it meanwhile.
    if (token !== this.lastToken) return true
    this.token.distrust()
    return (await this.bearer()) !== token
  }

  /**
   * The same object for as long as no certificate changes. A pair of which one half is replaced already keeps the
   * last context standing. Throws CONFIG_INVALID when there is none.
   */
  async secureContext(): Promise<SecureContext> {
    const [ca, cert, key] = await Promise.all(this.pems.map(pem => (pem ? readable(pem) : null)))
    const made = JSON.stringify([ca, cert, key])
    if (this.context !== null && made === this.made) return this.context
    try {
      // A secure context passes over a CA that it cannot read, and then trusts nobody.
      if (ca) new X509Certificate(ca)
      this.context = createSecureContext({ ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) })
      this.made = made
    } catch (cause) {
      const files = this.pems.flatMap(pem => (pem ? [pem.path] : [])).join(', ')
      if (this.context === null)
        throw invalid(`${files}: no usable certificates (${(cause as Error).message})`, cause)
    }
    return this.context
  }
}

type Fresh = Pick<FreshFile, 'path' | 'read' | 'distrust'>

function fresh(material: Material | null): Fresh | null {
  if (material === null) return null
  if ('file' in material) return new FreshFile(material.file)
  return { path: 'the configuration', read: async () => material.text, distrust() {} }
}

async function readable(source: Fresh): Promise<string> {
  try {
    return await source.read()
  } catch (cause) {
    throw invalid(`cannot read ${source.path}: ${(cause as Error).message}`, cause)
  }
}

function invalid(sentence: string, cause?: unknown): PodfenceError {
  return new PodfenceError('CONFIG_INVALID', `Kubernetes: ${sentence}`, { cause })
}
