import { toolName } from '../../src/kernel/backend.ts'
import { ACROSS_NODES, playRecipe } from './support/recipe.ts'

/**
 * kubenet on GCE: pods on the bridge cbr0, each node's pod range routed to it by the cloud (the laboratory's fabric), and
 * what leaves for elsewhere masqueraded.
 */
await playRecipe(
  {
    flags: ['--bridges', 'cbr0'],
    pods: { friend: 'n1 bridge', web: 'n1 bridge', friend2: 'n2 bridge', web2: 'n2 bridge' },
    async prepare(node, { backend }, { families }) {
      for (const family of families) {
        const [pods, nodes] = family === 4 ? ['10.64.0.0/14', '10.90.0.0/25'] : ['fd64::/14', 'fd90::/121']
        const rule = ['POSTROUTING', '-o', 'eth0', '-s', pods]
        for (const inside of [pods, nodes])
          await node.run([
            toolName(backend, family, ''),
            '-w',
            '-t',
            'nat',
            '-A',
            ...rule,
            '-d',
            inside,
            '-j',
            'RETURN',
          ])
        await node.run([toolName(backend, family, ''), '-w', '-t', 'nat', '-A', ...rule, '-j', 'MASQUERADE'])
      }
    },
    checks: [
      'green br_netfilter',
      'green interfaces',
      'green FORWARD (IPv4)',
      'green FORWARD (IPv6)',
      'green etcd',
    ],
  },
  async (t, scene, { lab }) => {
    await scene.reaches(t, 'friends reach everybody, on one node and across', '80 u53 ping', ACROSS_NODES)
    const { external, probe } = lab
    await probe.listen(external, { protocol: 'tcp', port: 8080 })
    const answer = await probe.tcp(scene.pods.web, { address: external.address4, port: 8080 })
    t.equal(answer.outcome, 'open', 'what a pod asks outside is answered through the masquerade')
  },
)
