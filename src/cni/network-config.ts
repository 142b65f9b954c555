import { CniFailure } from '../runtime/cni/failure.ts'
import { LEVELS, type Level } from './log.ts'

/** The plugin's own part of a network's configuration. */
export interface NetworkConfig {
  /** The network's name. */
  readonly name: string
  readonly socket: string
  /** How long a command may take, in milliseconds. */
  readonly timeout: number
  readonly logLevel: Level
  /** This node's name in the store; null: as the agent says. */
  readonly hostname: string | null
  /** `policy.type` is `k8s-annotations`. */
  readonly annotations: boolean
  /** null: the socket is the only channel. */
  readonly etcd: EtcdConfig | null
  /** What the plugins before have done; undefined when this is the first. */
  readonly prevResult: unknown
  /** Ids of the containers that still are, for GC; undefined when it says nothing of them. */
  readonly valid: readonly string[] | undefined
}

export interface EtcdConfig {
  readonly endpoints: readonly string[]
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  readonly username?: string
  readonly passwordFile?: string
}

type Fields = Readonly<Record<string, unknown>>

const DEFAULT_SOCKET = '/run/podfence/cni.sock'
const DEFAULT_TIMEOUT_MS = 20_000
const LONGEST_TIMEOUT_MS = 600_000
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/
/** The words of calico-cni, in any case. */
const LEVEL_WORDS: Readonly<Record<string, Level>> = {
  debug: 'debug',
  info: 'info',
  warn: 'warning',
  warning: 'warning',
  error: 'error',
  critical: 'error',
  fatal: 'error',
  none: 'none',
}

/** The JSON object on stdin. Throws CniFailure. */
export function configObject(text: string): Fields {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    const message = 'The network configuration on stdin is not JSON.'
    throw new CniFailure('UNDECODABLE', message, (error as Error).message)
  }
  if (isObject(json)) return json
  throw new CniFailure('UNDECODABLE', 'The network configuration on stdin is not a JSON object.')
}

/** Reads what is ours. Keys of others are nobody's business here. Throws CniFailure, naming the key. */
export function readConfig(fields: Fields): NetworkConfig {
  const policy = fields.policy ?? {}
  if (!isObject(policy)) throw invalid('policy', policy)
  const type = policy.type ?? null
  if (type !== null && type !== 'k8s-annotations')
    throw invalid('policy.type', type, 'It is `k8s-annotations`, or left out.')
  // The agent or the controller asks the API; that these may stand here is all the plugin has to do with them.
  text(policy, 'k8s_api_root', 'policy.')
  if (typeof (policy.k8s_auth_token ?? '') !== 'string')
    throw new CniFailure('INVALID_CONFIG', 'policy.k8s_auth_token must be a text.')
  const name = text(fields, 'name')
  if (name === null || !NAME.test(name)) throw invalid('name', name)
  const socket = text(fields, 'socket') ?? DEFAULT_SOCKET
  if (!socket.startsWith('/')) throw invalid('socket', socket, 'It is an absolute path.')
  const level = text(fields, 'log_level') ?? 'warning'
  const logLevel = LEVEL_WORDS[level.toLowerCase()]
  if (logLevel === undefined) throw invalid('log_level', level, `It is one of ${LEVELS.join(', ')}.`)
  return {
    name,
    socket,
    logLevel,
    timeout: timeoutOf(fields.timeout ?? null),
    hostname: text(fields, 'hostname'),
    annotations: type !== null,
    etcd: etcdOf(fields),
    prevResult: fields.prevResult ?? undefined,
    valid: validOf(fields),
  }
}

function etcdOf(fields: Fields): EtcdConfig | null {
  const authority = text(fields, 'etcd_authority')
  if (authority === null) return null
  const endpoints = authority.split(',').map(part => part.trim())
  if (!endpoints.every(endpoint => /^(?:https?:\/\/)?[^\s/@]+:\d{1,5}$/.test(endpoint)))
    throw invalid('etcd_authority', authority, 'It is HOST:PORT.')
  const named = {
    caFile: text(fields, 'etcd_ca_cert_file'),
    certFile: text(fields, 'etcd_cert_file'),
    keyFile: text(fields, 'etcd_key_file'),
    username: text(fields, 'etcd_user'),
    passwordFile: text(fields, 'etcd_password_file'),
  }
  return { endpoints, ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== null)) }
}

/** Seconds as a number, or a text with a unit. */
function timeoutOf(given: unknown): number {
  if (given === null) return DEFAULT_TIMEOUT_MS
  const [, digits, unit] = /^([0-9]{1,6})(ms|s|m)?$/.exec(String(given)) ?? []
  const ms = Number(digits) * (unit === 'ms' ? 1 : unit === 'm' ? 60_000 : 1000)
  if (ms > 0 && ms <= LONGEST_TIMEOUT_MS) return ms
  throw invalid('timeout', given, 'It is a number of seconds, or a text such as 20s, up to 10m.')
}

/** The specification has had two names for the key. */
function validOf(fields: Fields): readonly string[] | undefined {
  const key = ['cni.dev/valid-attachments', 'cni.dev/attachments'].find(each => fields[each] !== undefined)
  if (key === undefined) return undefined
  const list = fields[key] ?? []
  if (!Array.isArray(list)) throw invalid(key, list)
  return list.map(each => {
    const id = isObject(each) ? each.containerID : undefined
    if (typeof id !== 'string') throw invalid(key, each, 'Each has a containerID and an ifname.')
    return id
  })
}

/** A text that is not empty, or null. */
function text(fields: Fields, name: string, place = ''): string | null {
  const value = fields[name] ?? ''
  if (typeof value !== 'string') throw invalid(place + name, value, 'It is a text.')
  return value === '' ? null : value
}

function invalid(key: string, value: unknown, details = ''): CniFailure {
  return new CniFailure('INVALID_CONFIG', `${key} cannot be ${JSON.stringify(value)}.`, details)
}

function isObject(json: unknown): json is Fields {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
