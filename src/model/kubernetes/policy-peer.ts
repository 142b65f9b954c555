import { Refusal } from '../refusal.ts'
import { field, structOf } from './go-json.ts'
import { decodeIpBlock } from './ip-block.ts'
import { decodeLabelSelector } from './label-selector.ts'
import { inNamespace, NAMESPACE_LABEL, namespaceLabel, podLabel } from './reserved-label.ts'

/** Whom a NetworkPolicy's rule allows: pods by a v1 selector, or networks. */
export type PolicyPeer =
  /** `namespace`: in which all of them are; null: in any. */
  | { readonly kind: 'pods'; readonly selector: string; readonly namespace: string | null }
  | { readonly kind: 'networks'; readonly networks: readonly string[] }

/** An element of `from` or `to`, for a policy of `namespace`. Throws Refusal for what the API server refuses. */
export function decodePeer(json: unknown, place: string, namespace: string): PolicyPeer {
  const peer = structOf(json, place)
  const pods = field(peer, 'podSelector')
  const namespaces = field(peer, 'namespaceSelector')
  const block = field(peer, 'ipBlock')
  if (pods === undefined && namespaces === undefined && block === undefined)
    throw new Refusal(
      place,
      'an empty peer names nobody',
      'Write a podSelector, a namespaceSelector or an ipBlock, or leave the list out to allow everybody.',
    )
  if (block === undefined) {
    const conditions = [
      ...(namespaces === undefined
        ? [inNamespace(namespace)]
        : [`has(${NAMESPACE_LABEL})`, ...namespaceConditions(namespaces, place)]),
      ...(pods === undefined ? [] : decodeLabelSelector(pods, `${place}.podSelector`, podLabel)),
    ]
    return {
      kind: 'pods',
      selector: conditions.join(' && '),
      namespace: namespaces === undefined ? namespace : null,
    }
  }
  if (pods !== undefined || namespaces !== undefined)
    throw new Refusal(`${place}.ipBlock`, 'an ipBlock stands alone', 'Write two peers, one with the ipBlock.')
  return { kind: 'networks', networks: decodeIpBlock(block, `${place}.ipBlock`) }
}

function namespaceConditions(json: unknown, place: string): readonly string[] {
  return decodeLabelSelector(json, `${place}.namespaceSelector`, namespaceLabel)
}
