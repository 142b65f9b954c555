import { isAbsolute, join } from 'node:path'
import { parse } from 'yaml'
import { type ApiAccess, anonymousAccess, type Material, serverRoot } from './access.ts'

type Fields = Readonly<Record<string, unknown>>

/** What we could only get wrong by leaving it out; each with what to do instead. */
const REFUSED_OF_USER: Readonly<Record<string, string>> = {
  exec: 'starts a program to get a token; give the agent a token file or a client certificate of its own',
  'auth-provider': 'needs a plugin that Kubernetes gave up; use a token file or a client certificate',
  username: 'is basic authentication, which Kubernetes gave up; use a token file or a client certificate',
  as: 'is impersonation, which is not supported; use the credentials of the account that is meant',
}

/**
 * The access that a kubeconfig's current context gives. `directory` is the file's own: paths in it are relative to
 * that. Throws an Error with one sentence when something that it needs is missing, wrong or not supported.
 */
export function readKubeconfig(text: string, directory: string): ApiAccess {
  const config = fieldsOf(parsed(text), 'the file')
  const current = textOf(config, 'current-context')
  if (current === null) throw new Error('current-context is not set')
  const context = named(config, 'contexts', 'context', current)
  const cluster = named(config, 'clusters', 'cluster', required(context, 'cluster', `context ${current}`))
  const userName = textOf(context, 'user')
  const user = userName === null ? {} : named(config, 'users', 'user', userName)
  for (const [field, why] of Object.entries(REFUSED_OF_USER))
    if (user[field] !== undefined && user[field] !== null && user[field] !== '')
      throw new Error(`user ${userName}: ${field} ${why}`)
  if (textOf(cluster, 'proxy-url') !== null) throw new Error('proxy-url is not supported')
  const material = (fields: Fields, name: string): Material | null => {
    const data = textOf(fields, `${name}-data`)
    if (data !== null) return { text: decoded(data, `${name}-data`) }
    return fileOf(textOf(fields, name), directory)
  }
  const token = textOf(user, 'token')
  const access: ApiAccess = {
    ...anonymousAccess(serverOf(cluster)),
    // The file wins: it is the one that somebody keeps fresh.
    token: fileOf(textOf(user, 'tokenFile'), directory) ?? (token === null ? null : { text: token }),
    ca: material(cluster, 'certificate-authority'),
    clientCertificate: material(user, 'client-certificate'),
    clientKey: material(user, 'client-key'),
    serverName: textOf(cluster, 'tls-server-name'),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    namespace: textOf(context, 'namespace'),
  }
  if (access.insecure && access.ca !== null)
    throw new Error('insecure-skip-tls-verify and a certificate-authority contradict each other')
  if ((access.clientCertificate === null) !== (access.clientKey === null))
    throw new Error(`user ${userName}: client-certificate and client-key are needed together`)
  return access
}

function parsed(text: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    throw new Error(`it is not YAML: ${(cause as Error).message.split('\n')[0]}`, { cause })
  }
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${what} is not a map`)
  return value as Fields
}

/** A field's text; null where it is absent or empty, which kubeconfigs mean alike. */
function textOf(fields: Fields, name: string): string | null {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string') throw new Error(`${name} is not a text`)
  return value
}

function required(fields: Fields, name: string, of: string): string {
  const value = textOf(fields, name)
  if (value === null) throw new Error(`${of} has no ${name}`)
  return value
}

function named(config: Fields, list: string, field: string, name: string): Fields {
  const entries = config[list]
  if (!Array.isArray(entries)) throw new Error(`${list} is not a list`)
  const entry = entries.find(candidate => candidate?.name === name)
  if (entry === undefined) throw new Error(`${field} ${name} is not in ${list}`)
  return fieldsOf(entry[field] ?? {}, `${field} ${name}`)
}

function serverOf(cluster: Fields): string {
  try {
    return serverRoot(required(cluster, 'server', 'the cluster'))
  } catch (cause) {
    throw new Error(`server ${(cause as Error).message}`, { cause })
  }
}

function fileOf(path: string | null, directory: string): Material | null {
  if (path === null) return null
  return { file: isAbsolute(path) ? path : join(directory, path) }
}

function decoded(data: string, name: string): string {
  const text = Buffer.from(data, 'base64').toString('utf8')
  if (!text.includes('-----BEGIN ')) throw new Error(`${name} is not a PEM text in base64`)
  return text
}
