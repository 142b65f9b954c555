import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Variant } from '../../stage.ts'
import { kubernetesWorld } from '../support/kubernetes.ts'
import { openScene } from '../support/scene.ts'
import { tableOf } from '../support/table.ts'

/** What comes through from each sender; `cells6` where IPv6 differs. */
interface Example {
  readonly annotation: string
  readonly cells: Readonly<Record<'backend' | 'plain' | 'stranger' | 'external', string>>
  readonly cells6?: Readonly<Record<'backend' | 'plain' | 'stranger' | 'external', string>>
}

const everybody = (cell: string) => ({ backend: cell, plain: cell, stranger: cell, external: cell })
const backendOnly = (cell: string) => ({ ...everybody('X'), backend: cell })

/**
 * The documents' examples, then each form of their grammar. `backend` and `plain` are of the same namespace,
 * on the other node and on this one; `stranger` has backend's labels in another namespace.
 */
const EXAMPLES: Readonly<Record<string, Example>> = {
  front: {
    annotation: 'allow tcp to port 80; allow udp to port 80',
    cells: everybody('80,u80'),
  },
  redis: {
    annotation: 'allow from label tier=frontend',
    cells: backendOnly('.'),
  },
  role: {
    annotation: 'allow tcp from label role=backend',
    cells: backendOnly('80,443,4001,443<1024'),
  },
  several: {
    annotation: 'allow from label role=backend; allow tcp to ports 4001,443',
    cells: { ...everybody('443,4001,443<1024'), backend: '.' },
  },
  blog: {
    annotation: 'allow tcp from label access=backend to port 4001',
    cells: backendOnly('4001'),
  },
  open: {
    annotation: 'allow',
    cells: everybody('.'),
  },
  range: {
    annotation: 'allow tcp to ports 80,400:4500',
    cells: everybody('80,443,4001,443<1024'),
  },
  sources: {
    annotation: 'allow tcp from ports 1000:1024',
    cells: everybody('443<1024'),
  },
  net4: {
    annotation: 'allow from cidr 10.65.2.0/24',
    cells: { ...everybody('X'), backend: '.', stranger: '.' },
    cells6: everybody('X'),
  },
  net6: {
    annotation: 'allow udp from cidr fd65:0:0:2::/64 to ports 80',
    cells: everybody('X'),
    cells6: { ...everybody('X'), backend: 'u80', stranger: 'u80' },
  },
  both: {
    annotation:
      'allow from label role=backend cidr 10.65.1.0/24; allow tcp from ports 1024 label role=backend cidr 10.65.2.0/24',
    cells: backendOnly('443<1024'),
    cells6: everybody('X'),
  },
  icmp: {
    annotation: 'allow icmp',
    cells: everybody('ping,i8/1,i13/0'),
    cells6: everybody('X'),
  },
  type: {
    annotation: 'allow icmp type 8',
    cells: everybody('ping,i8/1'),
    cells6: everybody('X'),
  },
  code: {
    annotation: 'allow icmp type 8 code 1 from label role=backend; allow icmp type 13 code 0',
    cells: { ...everybody('i13/0'), backend: 'i8/1,i13/0' },
    cells6: everybody('X'),
  },
  denying: {
    annotation: 'allow tcp to port 80; deny tcp from cidr 10.0.0.0/8',
    cells: everybody('X'),
  },
}

export async function annotations(t: Test, stage: Stage, variant: Variant): Promise<void> {
  const names = Object.keys(EXAMPLES)
  const scene = await openScene<string>(stage, variant, {
    backend: 'n2 routed',
    plain: 'n1 routed',
    stranger: 'n2 routed',
    ...Object.fromEntries(names.map(name => [name, 'n1 routed'] as const)),
  })
  const { backend, plain, stranger } = scene.pods
  const labels = { role: 'backend', tier: 'frontend', access: 'backend' }
  await stage.show(
    kubernetesWorld([
      { pod: backend!, namespace: 'production', labels },
      { pod: plain!, namespace: 'production', labels: { role: 'frontend' } },
      { pod: stranger!, namespace: 'development', labels },
      ...Object.entries(EXAMPLES).map(([name, { annotation }]) => ({
        pod: scene.pods[name]!,
        namespace: 'production',
        annotation,
      })),
    ]),
  )
  for (const family of variant.families)
    await t.test(`every form of the language, IPv${family}`, async t => {
      const asked = `80 443 4001 443<1024 u80 ping${family === 4 ? ' i8/1 i13/0' : ''}`
      await Promise.all(
        Object.entries(EXAMPLES).map(([name, { annotation, cells, cells6 = cells }]) =>
          scene.reaches(t, annotation, asked, tableOf({ [name]: family === 4 ? cells : cells6 }), [family]),
        ),
      )
    })
}
