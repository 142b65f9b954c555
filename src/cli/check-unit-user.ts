import { dirname, join } from 'node:path'
import type { Backend } from '../kernel/backend.ts'
import type { Processes } from '../kernel/process.ts'
import { kubernetesOptions } from '../runtime/kubernetes-options.ts'
import type { SettingName, Settings } from '../runtime/setting-table.ts'
import { lockPath } from './check-host.ts'
import { type Finding, green, red, yellow } from './finding.ts'
import type { HostFiles } from './host-files.ts'
import { findUnitUser, grantedTo, type UnitUser, type Wish } from './unit-user.ts'

/** What an agent with this source reads. */
export const READ_SETTINGS = {
  files: ['filesDirectory'],
  etcd: ['etcdCa', 'etcdCert', 'etcdKey', 'etcdPasswordFile'],
  kubernetes: ['kubeconfig', 'k8sAuthTokenFile', 'k8sCa'],
} as const satisfies Record<Settings['source'], readonly SettingName[]>

/** What the units do not see of this host, whoever may read it, and the directive that says so. */
const HIDDEN: readonly (readonly [directory: string, directive: string])[] = [
  ['/home', 'ProtectHome'],
  ['/root', 'ProtectHome'],
  ['/run/user', 'ProtectHome'],
  ['/tmp', 'PrivateTmp'],
  ['/var/tmp', 'PrivateTmp'],
]

export interface UnitQuestion {
  readonly processes: Processes
  readonly files: HostFiles
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of the two, legacy alone takes the lock; null where there is no iptables. */
  readonly backend: Backend | null
  /** null where there is none. */
  readonly settingsFile: string | null
  /** Of whoever asks: only root can ask for another user. */
  readonly uid: number | undefined
}

/**
 * Whether the user of the package's units may read the settings file and what it names, and take the lock: root, who
 * asks, may do everything. Nothing where there is no such user. What is not there at all is told of the source.
 */
export async function checkUnitUser(settings: Settings, question: UnitQuestion): Promise<Finding[]> {
  const { processes, files, env, backend, uid } = question
  const user = uid === 0 ? await findUnitUser(files) : null
  if (user === null) return []
  const needs = (
    await Promise.all((await neededPaths(settings, question)).map(path => needOf(path, files)))
  ).flat()
  const locks = backend === 'legacy' ? [await lockWish(files, lockPath(env))] : []
  const wishes = [...locks, ...needs.flatMap(need => need.wishes)]
  let isGranted: (wish: Wish) => boolean
  try {
    isGranted = await grantedTo(processes, user, wishes)
  } catch (error) {
    return [
      yellow(
        subject(user),
        `the units run as it, and what it may read cannot be told: ${(error as Error).message}`,
        `Look whether it may read ${needs.map(({ path }) => path).join(', ') || 'the settings file'}.`,
      ),
    ]
  }
  const lacks = [
    ...locks.filter(lock => !isGranted(lock)).map(({ path }) => lockLack(user, path)),
    ...needs.flatMap(need => judge(need, isGranted, user)),
  ]
  if (lacks.length > 0) return lacks
  return [
    green(subject(user), `the units run as it, and it may read all that they need (${needs.length} paths)`),
  ]
}

function subject({ name }: UnitUser): string {
  return `user ${name}`
}

/** A file or directory that the units need. */
interface Need {
  readonly path: string
  /** Where it really is. */
  readonly real: string
  /** From the outermost directory on; the first one that is not granted is what keeps the user out. */
  readonly wishes: readonly Wish[]
}

async function neededPaths(
  settings: Settings,
  { env, files, settingsFile }: UnitQuestion,
): Promise<string[]> {
  const named: readonly (string | null)[] = READ_SETTINGS[settings.source].map(name => settings[name])
  const access =
    settings.source === 'kubernetes' ? await kubernetesOptions(settings, env).catch(() => null) : null
  const materials = [access?.token, access?.ca, access?.clientCertificate, access?.clientKey].flatMap(
    material => (material && 'file' in material ? [material.file] : []),
  )
  const { filesDirectory } = settings
  const objects =
    settings.source === 'files' && filesDirectory !== null
      ? ((await files.names(filesDirectory)) ?? [])
          .filter(name => /^[^.].*\.ya?ml$/.test(name))
          .map(name => join(filesDirectory, name))
      : []
  const paths = [settingsFile, ...named, ...materials, ...objects].filter(path => path !== null)
  return [...new Set(paths)]
}

async function needOf(path: string, files: HostFiles): Promise<Need[]> {
  const real = await files.real(path)
  const directory = (await files.names(path)) !== null
  if (real === null || (!directory && (await files.text(path)) === null)) return []
  const entered = [...directoriesAbove(path), ...directoriesAbove(real), ...(directory ? [real] : [])]
  const wishes: Wish[] = [...new Set(entered)].map(above => ({ right: 'x', path: above }))
  // Of the path itself, too: between it and where it leads may be more links, through other directories.
  const read = [...new Set([real, path])].map(place => ({ right: 'r', path: place }) as const)
  return [{ path, real, wishes: [...wishes, ...read] }]
}

/** From the root on. */
function directoriesAbove(path: string): string[] {
  const above = dirname(path)
  return above === path ? [] : [...directoriesAbove(above), above]
}

function judge({ path, real, wishes }: Need, isGranted: (wish: Wish) => boolean, user: UnitUser): Finding[] {
  const name = path === real ? path : `${path} (${real})`
  const hidden = HIDDEN.find(([directory]) =>
    [path, real].some(place => `${place}/`.startsWith(`${directory}/`)),
  )
  if (hidden !== undefined) {
    const says = `the units run as it, and do not see ${name}: their ${hidden[1]} hides ${hidden[0]}`
    return [red(subject(user), says, `Move it to /etc/podfence, readable by the group ${user.name}.`)]
  }
  const lack = wishes.find(wish => !isGranted(wish))
  if (lack === undefined) return []
  const where = lack.right === 'x' && lack.path !== real ? `, since it may not enter ${lack.path}` : ''
  const rights = wishes.filter(wish => wish.path === lack.path).map(({ right }) => right)
  return [
    red(
      subject(user),
      `the units run as it, and it may not read ${name}${where}`,
      `chgrp ${user.name} ${lack.path}; chmod g+${rights.join('')} ${lack.path}`,
    ),
  ]
}

async function lockWish(files: HostFiles, path: string): Promise<Wish> {
  return { right: 'w', path: (await files.text(path)) === null ? dirname(path) : path }
}

function lockLack(user: UnitUser, path: string): Finding {
  return red(
    subject(user),
    `the units run as it, and it may not write ${path}, so not take the lock of iptables`,
    `systemd-tmpfiles --create podfence.conf, which makes /run/xtables.lock for the group ${user.name}.`,
  )
}
