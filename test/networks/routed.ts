import { ACROSS_NODES, playRecipe } from './support/recipe.ts'

/** Routed veths with /32 and /128 routes, as newer GKE and the CNI plugin ptp have them: an interface for each pod. */
await playRecipe(
  {
    flags: ['--interface-prefixes', 'cali'],
    pods: { friend: 'n1 routed', web: 'n1 routed', friend2: 'n2 routed', web2: 'n2 routed' },
    prepare: async () => {},
    checks: [
      'green interfaces',
      'green IPv4 forwarding',
      'green IPv6 forwarding',
      'green FORWARD (IPv4)',
      'green etcd',
    ],
  },
  async (t, scene) => {
    await scene.reaches(t, 'friends reach everybody, on one node and across', '80 u53 ping', ACROSS_NODES)
  },
)
