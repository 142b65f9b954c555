// Runs alone: the machines are shared with the other files.
import t from 'tap'
import { Nodes, skip } from './support/nodes.ts'

t.test('a node is moved to iptables-legacy and back', { skip }, async t => {
  const nodes = await Nodes.open(t)
  const { node2 } = nodes
  const choose = async (backend: string) => {
    await node2.run(
      `for tool in iptables ip6tables; do update-alternatives --quiet --set $tool /usr/sbin/$tool-${backend}; done; systemctl restart podfence-agent`,
    )
    await nodes.enforcing(node2)
  }
  const rules = (backend: string) => node2.run(`iptables-${backend}-save; ip6tables-${backend}-save`)

  for (const [chosen, other] of [
    ['legacy', 'nft'],
    ['nft', 'legacy'],
  ] as const)
    await t.test(`by update-alternatives to ${chosen}`, async t => {
      await nodes.underFlows(t, () => choose(chosen))
      t.match(await rules(chosen), 'podf-FORWARD')
      t.notMatch(await rules(other), 'podf-', 'no rule of ours is left in the other')
      if (chosen === 'legacy') await nodes.matrix(t)
    })
})
