import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Variant } from '../../stage.ts'
import { openScene } from '../support/scene.ts'
import { tableOf } from '../support/table.ts'

/** Labels of each pod; the third has `team` from its profile. */
const LABELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  web: { role: 'web', env: 'prod' },
  db: { role: 'db', env: 'prod', 'app.example.com/tier': "a 'quoted' value" },
  test: { role: 'web', env: 'test' },
  bare: {},
}
const PODS = Object.keys(LABELS)

/** Every operator, with the pods that match. */
const SELECTORS: readonly (readonly [selector: string, pods: readonly string[]])[] = [
  ['', ['web', 'db', 'test', 'bare']],
  ['all()', ['web', 'db', 'test', 'bare']],
  ["role == 'web'", ['web', 'test']],
  ["role != 'web'", ['db', 'bare']],
  ["role in {'web', 'cache'}", ['web', 'test']],
  ["env not in {'prod', 'stage'}", ['test', 'bare']],
  ['has(team)', ['test']],
  ['!has(role)', ['bare']],
  ['app.example.com/tier == "a \'quoted\' value"', ['db']],
  ["role == 'web' && env == 'prod'", ['web']],
  ["role == 'db' || env == 'test'", ['db', 'test']],
  ["role == 'db' || role == 'web' && env == 'test'", ['db', 'test']],
  ["(role == 'db' || role == 'web') && env == 'prod'", ['web', 'db']],
  ["!(role == 'web' && env == 'prod') && has(env)", ['db', 'test']],
  ["has(role) && team != 'red'", ['web', 'db']],
  ["role == 'nobody'", []],
]
const portOf = (at: number) => 1000 + at
const ASKED = SELECTORS.map((_, at) => portOf(at)).join(' ')

export async function selectors(t: Test, stage: Stage, variant: Variant): Promise<void> {
  const scene = await openScene<string>(stage, variant, {
    web: 'n1 routed',
    db: 'n2 routed',
    test: 'n1 routed',
    bare: 'n2 routed',
    caller: 'n1 routed',
    server: 'n2 routed',
  })
  const endpoints = PODS.map(name => ({
    pod: scene.pods[name]!,
    labels: LABELS[name]!,
    profiles: name === 'test' ? ['open', 'red'] : ['open'],
  }))
  const profiles = { open: { inbound: [{ protocol: 'icmp' }] }, red: { labels: { team: 'red' } } }
  const tcp = (at: number) => ({ protocol: 'tcp', dst_ports: [portOf(at)] })
  /** The ports of the selectors that match a pod, as a cell. */
  const cellOf = (name: string) =>
    SELECTORS.flatMap(([, pods], at) => (pods.includes(name) ? [portOf(at)] : [])).join(',')
  const whole = {
    caller: { pod: scene.pods.caller!, profiles: ['all'] },
    server: { pod: scene.pods.server! },
  }

  await t.test('whom a policy picks', async t => {
    const policies = SELECTORS.map(([selector], at) => [
      `p${at}`,
      { selector, inbound: [tcp(at)], outbound: [{}] },
    ])
    await stage.show({
      endpoints: [...endpoints, whole.caller],
      profiles: { ...profiles, all: {} },
      tiers: {
        // The caller is picked too, by those that pick everything, so its way out is opened before.
        first: {
          order: 1,
          policies: { out: { selector: 'all()', inbound: [{ action: 'next-tier' }], outbound: [{}] } },
        },
        second: { order: 2, policies: Object.fromEntries(policies) },
      },
    })
    const columns = Object.fromEntries(PODS.map(name => [name, { caller: cellOf(name) }]))
    await scene.reaches(t, 'the port of each policy that picks the pod is open', ASKED, tableOf(columns))
  })

  await t.test('whom a rule means', async t => {
    const rules = (field: string) => SELECTORS.map(([selector], at) => ({ ...tcp(at), [field]: selector }))
    const serverWith = (inbound: readonly object[]) => ({
      endpoints: [...endpoints, { ...whole.server, profiles: ['server'] }],
      profiles: { ...profiles, server: { inbound: inbound.map(rule => ({ ...rule })) } },
    })
    const table = (cell: (name: string) => string) =>
      tableOf({ server: Object.fromEntries(PODS.map(name => [name, cell(name)])) })
    const others = (name: string) => {
      const own = cellOf(name).split(',')
      return ASKED.split(' ')
        .filter(port => !own.includes(port))
        .join(',')
    }

    await stage.show(serverWith(rules('src_selector')))
    await scene.reaches(t, 'as a source', ASKED, table(cellOf))
    await stage.show(serverWith(rules('!src_selector')))
    await scene.reaches(t, 'negated', ASKED, table(others))
    await stage.show(serverWith([...rules('src_selector').map(rule => ({ action: 'deny', ...rule })), {}]))
    await scene.reaches(t, 'in a deny', ASKED, table(others))
    await stage.show(serverWith([...rules('!src_selector').map(rule => ({ action: 'deny', ...rule })), {}]))
    await scene.reaches(t, 'negated in a deny', ASKED, table(cellOf))

    await stage.show({
      endpoints: [
        ...endpoints.map(each => ({ ...each, profiles: [...each.profiles, 'served'] })),
        { ...whole.caller, profiles: ['chooser'] },
      ],
      profiles: { ...profiles, served: { inbound: [{}] }, chooser: { outbound: rules('dst_selector') } },
    })
    await scene.reaches(
      t,
      'as a destination',
      ASKED,
      tableOf(Object.fromEntries(PODS.map(name => [name, { caller: cellOf(name) }]))),
    )
  })
}
