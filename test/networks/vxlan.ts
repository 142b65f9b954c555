import type { Lab } from '../../src/lab/lab.ts'
import type { LabNode } from '../../src/lab/node.ts'
import { playRecipe } from './support/recipe.ts'

const DEVICE = 'flannel.1'

/** A node's end of the tunnel, as flannel gives it. */
function end({ number }: LabNode) {
  return { mac: `02:00:00:67:00:0${number}`, address4: `10.67.${number}.0`, address6: `fd67::${number}` }
}

/** flannel's backend vxlan: pods on a bridge, and between nodes a tunnel whose neighbours are written down, not learnt. */
async function tunnel(node: LabNode, { nodes }: Lab): Promise<void> {
  const own = end(node)
  const ip = (...words: string[]) => node.run(['ip', ...words])
  const plain = ['local', node.address4, 'dev', 'eth0', 'dstport', '8472', 'nolearning']
  await ip('link', 'add', DEVICE, 'address', own.mac, 'mtu', '1450', 'type', 'vxlan', 'id', '1', ...plain)
  await ip('address', 'add', `${own.address4}/32`, 'dev', DEVICE)
  await ip('address', 'add', `${own.address6}/128`, 'dev', DEVICE, 'nodad')
  await ip('link', 'set', DEVICE, 'up')
  for (const other of nodes.filter(other => other !== node)) {
    const { mac, address4, address6 } = end(other)
    await node.run(['bridge', 'fdb', 'append', mac, 'dev', DEVICE, 'dst', other.address4])
    for (const [address, range] of [
      [address4, other.bridge4],
      [address6, other.bridge6],
    ] as const) {
      await ip('neighbour', 'replace', address, 'lladdr', mac, 'nud', 'permanent', 'dev', DEVICE)
      await ip('route', 'replace', range, 'via', address, 'dev', DEVICE, 'onlink')
    }
  }
}

await playRecipe(
  {
    flags: ['--bridges', 'cbr0'],
    pods: { friend: 'n1 bridge', web: 'n1 bridge', friend2: 'n2 bridge', web2: 'n2 bridge' },
    prepare: (node, { lab }) => tunnel(node, lab),
    checks: ['green br_netfilter', 'green interfaces', 'green FORWARD (IPv4)', 'green etcd'],
  },
  async (t, scene, { lab }) => {
    await scene.reaches(
      t,
      'friends reach everybody, on one node and through the tunnel',
      '80 u53 ping',
      `
                friend  web  friend2  web2
      friend    -       .    .        .
      web       X       -    X        X
      friend2   .       .    -        .
      web2      X       X    X        -
      n1        .       .    X        X
      `,
    )
    for (const node of lab.nodes) {
      const { stdout } = await node.run(['ip', '-json', '-statistics', 'link', 'show', DEVICE])
      const [link] = JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[]
      t.ok(link!.stats64.rx.packets > 0, `${node.name} got packets through the tunnel`)
    }
  },
)
