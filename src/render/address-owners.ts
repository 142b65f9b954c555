const DISPATCH = /^podf-(from|f-.*)$/
const LEAF = /^-s (\S+)\/\d+ (?:-\S.* )?-[gj] (podf-from-\S+)$/
/** What an endpoint's chain says first: where its workload is not. */
const ELSEWHERE = /^(?:! -i \S+|-m mac ! --mac-source \S+|-m physdev ! --physdev-in \S+) -j DROP$/

/**
 * Who owns which address, read back from the dispatch chains by source and the chains of the endpoints: an address
 * and a text that is another one for another endpoint, interface or hardware address. This is how an agent knows
 * after a restart what has changed hands in its absence.
 */
export function addressOwners(chains: ReadonlyMap<string, readonly string[]>): Map<string, string> {
  const owners = new Map<string, string>()
  for (const [name, rules] of chains) {
    if (!DISPATCH.test(name)) continue
    for (const rule of rules) {
      const [, address, endpoint] = LEAF.exec(rule) ?? []
      if (address === undefined || endpoint === undefined) continue
      const elsewhere = (chains.get(endpoint) ?? []).filter(each => ELSEWHERE.test(each))
      owners.set(address, [owners.get(address), endpoint, ...elsewhere].join('\n'))
    }
  }
  return owners
}

/**
 * Addresses that have lost an owner: to nobody, or to another one. Of those that had none nothing is known. The
 * chain of an endpoint that is closed, or whose interface is not known, does not say where its workload is: that alone is
 * no other owner.
 */
export function movedAddresses(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  return new Set(
    [...before].filter(([address, owner]) => !isSame(owner, after.get(address))).map(([address]) => address),
  )
}

function isSame(before: string, after: string | undefined): boolean {
  if (after === undefined) return false
  const [old, now] = [partsOf(before), partsOf(after)]
  const isSilent = old.places === '' || now.places === ''
  return old.endpoints === now.endpoints && (isSilent || old.places === now.places)
}

function partsOf(owner: string): { readonly endpoints: string; readonly places: string } {
  const lines = owner.split('\n')
  const isEndpoint = (line: string) => line.startsWith('podf-from-')
  return {
    endpoints: lines.filter(isEndpoint).join('\n'),
    places: lines.filter(line => line !== '' && !isEndpoint(line)).join('\n'),
  }
}
