import { PodfenceError } from '../errors.ts'
import type { Family } from '../model/values.ts'
import type { SetDelta, SetMember } from '../policy/outcome.ts'
import type { SetChange, SetRole } from './kernel-delta.ts'
import { PREFIX } from './name.ts'
import type { RenderOptions } from './options.ts'
import { messageText } from './safe-text.ts'

const DEFAULT_CUT_TIMEOUT = 600

export function cutSetName(family: Family): string {
  return `${PREFIX}cut-${family}`
}

/** The set of cut connections: elements `CLIENT,PROTOCOL:SERVER PORT,SERVER`, put in by whoever cuts them. */
export function cutSet(family: Family, options: RenderOptions): SetChange {
  return {
    name: cutSetName(family),
    family,
    type: 'hash:ip,port,ip',
    role: 'closes',
    timeout: options.cutTimeout ?? DEFAULT_CUT_TIMEOUT,
    created: true,
    removed: false,
    added: [],
    deleted: [],
    owner: 'cut connections',
  }
}

/** The parts of a set's name: what opens and what closes are two sets. */
export function setParts(id: string, role: SetRole): readonly string[] {
  return role === 'opens' ? [id] : [id, role]
}

/** What it is the set of, as messages about it say: `tag:web`. */
export function setOwner(id: string, role: SetRole): string {
  return messageText(setParts(id, role).join(' '))
}

/** One family's part of a set's change; null when this family has none. */
export function setChange(
  id: string,
  role: SetRole,
  name: string,
  family: Family,
  delta: SetDelta,
): SetChange | null {
  const added = ofFamily(delta.added, family)
  const deleted = ofFamily(delta.deleted, family)
  if (!delta.created && !delta.removed && added.length === 0 && deleted.length === 0) return null
  return {
    name,
    family,
    type: 'hash:ip',
    role,
    created: delta.created,
    removed: delta.removed,
    added,
    deleted,
    owner: setOwner(id, role),
  }
}

/**
 * Members as the policy engine holds them: canonical texts, which ipset prints alike. They are checked and
 * not printed again, since a large cluster has a hundred thousand of them.
 * @throws PodfenceError OBJECT_INVALID: a set that silently lacks a member would open negated matches.
 */
function ofFamily(members: Iterable<SetMember>, family: Family): string[] {
  const addresses: string[] = []
  const shape = family === 4 ? /^[0-9.]{7,15}$/ : /^[0-9a-f:.]{2,45}$/
  for (const member of members) {
    if (member.family !== family) continue
    if (!shape.test(member.address))
      throw new PodfenceError('OBJECT_INVALID', `a set member is no address: ${messageText(member.address)}`)
    addresses.push(member.address)
  }
  return addresses
}
