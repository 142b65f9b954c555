import { CniFailure } from '../runtime/cni/failure.ts'

export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'] as const
export type Command = (typeof COMMANDS)[number]

type Variables = Readonly<Record<string, string | undefined>>

/** What the runtime says of one container. */
export interface Container {
  readonly id: string
  /** Path of its network namespace; null when it is gone already (DEL). */
  readonly netns: string | null
  readonly ifname: string
  /** The pod as NAMESPACE/NAME; null where the runtime names none. */
  readonly pod: string | null
  /** Tells it from other pods of that name; null where the runtime does not. */
  readonly uid: string | null
}

const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/
const POD_NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/
const KNOWN_ARGS = new Set([
  'IgnoreUnknown',
  'K8S_POD_NAMESPACE',
  'K8S_POD_NAME',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
])

/** What is asked. Throws CniFailure. */
export function commandOf(variables: Variables): Command {
  const command = variables.CNI_COMMAND
  if (COMMANDS.includes(command as Command)) return command as Command
  if (command === undefined || command === '')
    throw invalid('CNI_COMMAND is not set', 'This is a CNI plugin: a container runtime calls it.')
  throw invalid(`CNI_COMMAND cannot be ${JSON.stringify(command)}`)
}

/** The container that ADD, CHECK and DEL are about. Throws CniFailure; for DEL only what is needed must be there. */
export function containerOf(variables: Variables, command: 'ADD' | 'CHECK' | 'DEL'): Container {
  const { CNI_CONTAINERID: id = '', CNI_NETNS: netns = '', CNI_IFNAME: ifname = '' } = variables
  if (!CONTAINER_ID.test(id)) throw invalid(`CNI_CONTAINERID cannot be ${JSON.stringify(id)}`)
  if (!/^[^\s/:]{1,15}$/.test(ifname) || ifname === '.' || ifname === '..')
    throw invalid(`CNI_IFNAME cannot be ${JSON.stringify(ifname)}`)
  if (command === 'DEL')
    return { id, netns: netns === '' ? null : netns, ifname, pod: podIn(variables), uid: null }
  if (!netns.startsWith('/')) throw invalid(`CNI_NETNS cannot be ${JSON.stringify(netns)}`)
  const args = parseArgs(variables.CNI_ARGS)
  const pod = podOf(args)
  if (pod === null)
    throw invalid(
      'CNI_ARGS names no pod (K8S_POD_NAMESPACE, K8S_POD_NAME)',
      'Keep podfence-cni to networks of Kubernetes.',
    )
  return { id, netns, ifname, pod, uid: uidOf(args) }
}

/** Arguments that were refused at ADD must not keep a pod from being deleted. */
function podIn({ CNI_ARGS }: Variables): string | null {
  try {
    return podOf(parseArgs(CNI_ARGS))
  } catch {
    return null
  }
}

/** `IgnoreUnknown=1;K8S_POD_NAME=web` as a map. Others than the known ones are refused unless IgnoreUnknown is true. */
export function parseArgs(text = ''): ReadonlyMap<string, string> {
  const args = new Map<string, string>()
  for (const pair of text === '' ? [] : text.split(';')) {
    const at = pair.indexOf('=')
    if (at <= 0) throw invalid(`CNI_ARGS: ${JSON.stringify(pair)} is not KEY=VALUE`)
    args.set(pair.slice(0, at), pair.slice(at + 1))
  }
  const ignore = /^(1|t|true)$/i.test(args.get('IgnoreUnknown') ?? '')
  const unknown = [...args.keys()].find(name => !KNOWN_ARGS.has(name))
  if (unknown !== undefined && !ignore)
    throw invalid(`CNI_ARGS: ${unknown} is unknown, and IgnoreUnknown is not set`)
  return args
}

function podOf(args: ReadonlyMap<string, string>): string | null {
  const [namespace = '', name = ''] = [args.get('K8S_POD_NAMESPACE'), args.get('K8S_POD_NAME')]
  if (namespace === '' && name === '') return null
  if (!NAMESPACE.test(namespace) || namespace.length > 63)
    throw invalid(`K8S_POD_NAMESPACE cannot be ${JSON.stringify(namespace)}`)
  if (!POD_NAME.test(name) || name.length > 253)
    throw invalid(`K8S_POD_NAME cannot be ${JSON.stringify(name)}`)
  return `${namespace}/${name}`
}

function uidOf(args: ReadonlyMap<string, string>): string | null {
  const uid = args.get('K8S_POD_UID') ?? ''
  if (uid === '') return null
  if (!/^[A-Za-z0-9-]{1,64}$/.test(uid)) throw invalid(`K8S_POD_UID cannot be ${JSON.stringify(uid)}`)
  return uid
}

function invalid(what: string, details = ''): CniFailure {
  return new CniFailure('INVALID_ENVIRONMENT', `${what}.`, details)
}
