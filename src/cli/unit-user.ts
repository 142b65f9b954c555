import type { Processes } from '../kernel/process.ts'
import type { HostFiles } from './host-files.ts'

/** Whom the package's units of agent and gate run as, with the groups that they give it. */
export interface UnitUser {
  readonly name: string
  readonly uid: string
  readonly gid: string
  readonly groups: readonly string[]
}

const NAME = 'podfence'
/** SupplementaryGroups=root of the units. */
const ROOTS_GROUP = '0'

/** The units' user as this host's files have it; null where there is none, so no units of the package either. */
export async function findUnitUser(files: HostFiles): Promise<UnitUser | null> {
  const lines = async (path: string) =>
    ((await files.text(path)) ?? '').split('\n').map(line => line.split(':'))
  const [, , uid, gid] = (await lines('/etc/passwd')).find(([name]) => name === NAME) ?? []
  if (uid === undefined || gid === undefined) return null
  const memberOf = (await lines('/etc/group')).flatMap(([, , id, members]) =>
    id !== undefined && members?.split(',').includes(NAME) ? [id] : [],
  )
  return { name: NAME, uid, gid, groups: [...new Set([gid, ...memberOf, ROOTS_GROUP])] }
}

/** What somebody wants of a path: to read, write or enter it. */
export interface Wish {
  readonly right: 'r' | 'w' | 'x'
  readonly path: string
}

const SCRIPT = 'while [ $# -gt 0 ]; do if [ "-$1" "$2" ]; then echo yes; else echo no; fi; shift 2; done'

/**
 * Asks the kernel, so that lists of access count, too, and resolves with which of these wishes it grants to the user.
 * Throws an Error that says why it cannot be asked: that takes root and setpriv.
 */
export async function grantedTo(
  processes: Processes,
  { uid, gid, groups }: UnitUser,
  wishes: readonly Wish[],
): Promise<(wish: Wish) => boolean> {
  const become = ['--reuid', uid, '--regid', gid, '--groups', groups.join(',')]
  const asked = new Map(wishes.map(wish => [keyOf(wish), wish]))
  const words = [...asked.values()].flatMap(({ right, path }) => [right, path])
  const args = [...become, 'sh', '-c', SCRIPT, 'sh', ...words]
  const { missing, stdout, stderr } = await processes.run('setpriv', args, { timeoutMs: 10_000 })
  if (missing) throw new Error('setpriv is not installed')
  const answers = stdout.split('\n').slice(0, -1)
  if (answers.length !== asked.size) throw new Error(stderr.trim().split('\n')[0] || 'setpriv failed')
  const granted = new Set([...asked.keys()].filter((_, index) => answers[index] === 'yes'))
  return wish => granted.has(keyOf(wish))
}

function keyOf({ right, path }: Wish): string {
  return `${right} ${path}`
}
