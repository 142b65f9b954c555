import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Variant } from '../../stage.ts'
import { kubernetesWorld } from '../support/kubernetes.ts'
import { openScene } from '../support/scene.ts'

export async function namespaceIsolation(t: Test, stage: Stage, variant: Variant): Promise<void> {
  const scene = await openScene(stage, variant, {
    front: 'n1 routed',
    back: 'n2 routed',
    dev1: 'n1 routed',
    dev2: 'n2 routed',
    dns: 'n1 routed',
    proxy: 'n2 routed',
  })
  const { front, back, dev1, dev2, dns, proxy } = scene.pods
  const asked = '80 u53 ping'
  const isolated = [
    { pod: front, namespace: 'shop', labels: { tier: 'front' } },
    { pod: back, namespace: 'shop' },
    { pod: dev1, namespace: 'dev' },
    { pod: dev2, namespace: 'dev' },
    { pod: dns, namespace: 'kube-system' },
    { pod: proxy, namespace: 'kube-system', annotation: 'allow tcp from label nobody=here' },
  ]
  const [, ...others] = isolated
  await t.test('pods reach their own namespace, kube-system and the world', async t => {
    await stage.show(kubernetesWorld(isolated))
    await scene.reaches(
      t,
      'isolated by namespace; kube-system is open, and ignores annotations',
      asked,
      `
              front  back  dev1  dev2  dns  proxy  external
    front     -      .     X     X     .    .      .
    back      .      -     X     X     .    .      .
    dev1      X      X     -     .     .    .      .
    dev2      X      X     .     -     .    .      .
    dns       X      X     X     X     -    .      .
    proxy     X      X     X     X     .    -      .
    external  X      X     X     X     .    .      -
      `,
    )
  })

  await t.test('a whitelist replaces isolation, and only for the pod that has it', async t => {
    const annotation = 'allow tcp from label tier=front to ports 80'
    await stage.show(kubernetesWorld([isolated[0]!, { ...isolated[1]!, annotation }, ...isolated.slice(2)]))
    await scene.reaches(
      t,
      'the namespace alone is no longer enough for back; its own traffic is free',
      asked,
      `
              front  back  dev1  dev2  dns  proxy  external
    front     -      80    X     X     .    .      .
    back      .      -     X     X     .    .      .
    dev1      X      X     -     .     .    .      -
    dns       X      X     X     X     -    .      -
    external  X      X     X     X     .    .      -
      `,
    )
    await stage.show(kubernetesWorld([{ ...isolated[0]!, annotation: 'allow' }, ...others]))
    await scene.reaches(
      t,
      'the plain allow opens front to everybody, and back is isolated again',
      asked,
      `
              front  back  dev1
    front     -      .     X
    back      .      -     X
    dev2      .      X     .
    dns       .      X     X
    external  .      X     X
      `,
    )
  })

  await t.test('labels and annotations change live', async t => {
    const annotation = 'allow tcp from label role=client'
    const world = (role: string | null, text = annotation) =>
      kubernetesWorld([
        { ...isolated[0]!, annotation: text },
        { ...isolated[1]!, labels: role === null ? {} : { role } },
        ...isolated.slice(2),
      ])
    const into = (cell: string) => `
              front
    back      ${cell}
    dev1      X`
    await stage.show(world(null))
    await scene.reaches(t, 'without the label', asked, into('X'))
    await stage.show(world('client'))
    await scene.reaches(t, 'the label appears', asked, into('80'))
    await stage.show(world('client', 'allow udp from label role=client to ports 53'))
    await scene.reaches(t, 'the annotation changes', asked, into('u53'))
    await stage.show(world('server', 'allow udp from label role=client to ports 53'))
    await scene.reaches(t, 'the label changes', asked, into('X'))
    await stage.show(world('client', 'allow udp from label role=client to port 53; deny tcp'))
    await scene.reaches(t, 'a bad annotation closes all inbound traffic of its pod', asked, into('X'))
    await stage.show(kubernetesWorld(isolated))
    await scene.reaches(t, 'the annotation goes, and isolation is back', asked, into('.'))
  })
}
