/** Of the dispatch trees as `iptables-save` prints them: which address meets the most rules on its way. */

interface Rule {
  readonly net: string | null
  readonly target: string
}

/** Chain to its rules: those of the tree that starts at `root`, which are all of the form `-s NET -g CHAIN`. */
function treeRules(text: string, root: string): Map<string, Rule[]> {
  const all = new Map<string, Rule[]>()
  for (const [, chain, , net, target] of text.matchAll(
    /^-A (\S+) (?:(-[sd]) (\S+) )?(?:-[io] \S+ )?-[gj] (\S+)$/gm,
  )) {
    const rules = all.get(chain!) ?? []
    rules.push({ net: net ?? null, target: target! })
    all.set(chain!, rules)
  }
  const tree = new Map<string, Rule[]>()
  for (const todo = [root]; todo.length > 0; ) {
    const chain = todo.pop()!
    const rules = all.get(chain)
    if (rules === undefined || tree.has(chain) || /^podf-(from|to)-/.test(chain)) continue
    tree.set(chain, rules)
    todo.push(...rules.map(({ target }) => target))
  }
  return tree
}

/** The address and how many rules are looked at until its own has matched. */
export function worstAddress(
  text: string,
  root: string,
): { readonly address: string; readonly rules: number } {
  const tree = treeRules(text, root)
  let worst = { address: '', rules: 0 }
  const walk = (chain: string, before: number) => {
    for (const [index, { net, target }] of (tree.get(chain) ?? []).entries()) {
      const rules = before + index + 1
      if (tree.has(target)) walk(target, rules)
      else if (net?.endsWith('/32') && rules > worst.rules) worst = { address: net.slice(0, -3), rules }
    }
  }
  walk(root, 0)
  return worst
}

/** Restore text with the tree alone behind FORWARD: every endpoint's own chain accepts. */
export function treeAlone(text: string, root: string): string {
  const tree = treeRules(text, root)
  const leaves = new Set([...tree.values()].flat().map(({ target }) => target))
  for (const chain of tree.keys()) leaves.delete(chain)
  const rules = text.split('\n').filter(line => line.startsWith('-A ') && tree.has(line.split(' ', 2)[1]!))
  return `${[
    '*filter',
    ...[...tree.keys(), ...leaves].map(chain => `:${chain} - [0:0]`),
    ...[...leaves].map(chain => `-A ${chain} -j ACCEPT`),
    ...rules,
    `-A FORWARD -o cali+ -g ${root}`,
    'COMMIT',
  ].join('\n')}\n`
}
