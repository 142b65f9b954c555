import { toolName } from '../../src/kernel/backend.ts'
import type { LabNode } from '../../src/lab/node.ts'
import { ROOT } from '../../src/source/v1-tree.ts'
import { playRecipe } from './support/recipe.ts'

/** The port of the node that Docker publishes for the first container. */
const PUBLISHED = 8080

/** Docker's own rules for its bridge: isolation, masquerade, a published port, and FORWARD closed to all else. */
function dockerRules(node: LabNode, family: 4 | 6, bridge: string, container: string): string {
  const range = family === 4 ? node.bridge4 : node.bridge6
  const [host, target] = family === 4 ? ['32', `${container}:80`] : ['128', `[${container}]:80`]
  return [
    '*nat',
    ':DOCKER - [0:0]',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    `-A POSTROUTING -s ${range} ! -o ${bridge} -j MASQUERADE`,
    `-A DOCKER ! -i ${bridge} -p tcp -m tcp --dport ${PUBLISHED} -j DNAT --to-destination ${target}`,
    'COMMIT',
    '*filter',
    ':FORWARD DROP [0:0]',
    ':DOCKER - [0:0]',
    ':DOCKER-USER - [0:0]',
    ':DOCKER-ISOLATION-STAGE-1 - [0:0]',
    '-A FORWARD -j DOCKER-USER',
    '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
    `-A FORWARD -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `-A FORWARD -o ${bridge} -j DOCKER`,
    `-A FORWARD -i ${bridge} ! -o ${bridge} -j ACCEPT`,
    `-A FORWARD -i ${bridge} -o ${bridge} -j ACCEPT`,
    `-A DOCKER -d ${container}/${host} ! -i ${bridge} -o ${bridge} -p tcp -m tcp --dport 80 -j ACCEPT`,
    '-A DOCKER-USER -j RETURN',
    '-A DOCKER-ISOLATION-STAGE-1 -j RETURN',
    'COMMIT',
    '',
  ].join('\n')
}

/** Containers of one host on Docker's bridge (the laboratory's is named cbr0), and Docker's rules in FORWARD. */
await playRecipe(
  {
    flags: ['--bridges', 'cbr0'],
    pods: { web: 'n1 bridge', friend: 'n1 bridge', other: 'n1 bridge' },
    async prepare(node, { backend }) {
      // The first container of a node has the first address.
      const first = { 4: node.bridge4.replace(/0\/24$/, '10'), 6: node.bridge6.replace(/\/64$/, 'a') }
      for (const family of [4, 6] as const)
        await node.run([toolName(backend, family, 'restore'), '-w', '--noflush'], {
          input: dockerRules(node, family, 'cbr0', first[family]),
        })
    },
    checks: [
      'green br_netfilter',
      'green interfaces',
      'green FORWARD (IPv4)',
      'green FORWARD (IPv6)',
      'green etcd',
    ],
  },
  async (t, scene, { lab, write }) => {
    await scene.reaches(
      t,
      'friends reach everybody',
      '80 u53 ping',
      `
                web  friend  other  external
      web       -    X       X      .
      friend    .    -       .      .
      other     X    X       -      .
      external  X    X       X      -
      n1        .    .       .      -
      `,
    )
    const { external, probe } = lab
    const published = async () =>
      (await probe.tcp(external, { address: lab.node('n1').address4, port: PUBLISHED, timeoutMs: 300 }))
        .outcome
    t.equal(await published(), 'timeout', 'a published port is for those whom policy lets in')
    const open = JSON.stringify({
      inbound_rules: [{ action: 'allow' }],
      outbound_rules: [{ action: 'allow' }],
    })
    await write([{ key: `${ROOT}policy/profile/other/rules`, value: open }])
    t.equal(await published(), 'open')
  },
)
