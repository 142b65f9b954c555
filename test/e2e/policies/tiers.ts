import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { PolicyWords, RuleObject, TierWords, WorldWords } from '../../../src/lab/world.ts'
import type { Variant } from '../../stage.ts'
import { openScene } from '../support/scene.ts'
import { tableOf } from '../support/table.ts'

/** Tiers for one pod alone, and what red and blue reach there. */
interface Case {
  readonly tiers: Readonly<Record<string, TierWords>>
  /** Default: one that allows TCP to 443. */
  readonly profiles?: readonly string[]
  readonly red: string
  readonly blue: string
}

const tcp = (...dst_ports: number[]) => ({ protocol: 'tcp', dst_ports })
const next = { action: 'next-tier' }
const deny = { action: 'deny' }
const fromRed = { src_tag: 'red' }

/** A policy for inbound traffic; whom it picks is added below. */
const policy = (inbound: readonly RuleObject[], order: number | 'default' = 'default'): PolicyWords => ({
  selector: '',
  order,
  inbound,
})
const tier = (order: number | 'default', ...inbound: readonly RuleObject[]): TierWords => ({
  order,
  policies: { only: policy(inbound) },
})
const both = (cell: string) => ({ red: cell, blue: cell })

/** Tiers in which no policy picks a pod are skipped, so all these stand in one store. */
const CASES: Readonly<Record<string, Case>> = {
  'no-policy': { tiers: {}, ...both('443') },
  'end-of-tier': { tiers: { a: tier(1, tcp(80)) }, ...both('80') },
  'empty-policy': { tiers: { a: tier(1) }, ...both('X') },
  'log-alone': { tiers: { a: tier(1, { action: 'log' }) }, ...both('X') },
  'next-in-the-last-tier': { tiers: { a: tier(1, next) }, ...both('443') },
  'next-for-some': { tiers: { a: tier(1, tcp(80), { ...next, ...tcp(443) }) }, ...both('80,443') },
  'next-without-profiles': { tiers: { a: tier(1, next) }, profiles: [], ...both('X') },
  'two-tiers': {
    tiers: { a: tier(1, { ...deny, ...fromRed }, next), b: tier(2, tcp(80)) },
    red: 'X',
    blue: '80',
  },
  'the-first-decides': {
    tiers: { a: tier(1, { ...tcp(80), ...fromRed }, next), b: tier(2, deny) },
    red: '80',
    blue: 'X',
  },
  'through-three': { tiers: { a: tier(1, next), b: tier(2, next), c: tier(3, next, deny) }, ...both('443') },
  'order-not-name': {
    tiers: { z: tier(1, { ...deny, ...tcp(80) }, next), a: tier(2, {}) },
    ...both('443,u53'),
  },
  'same-order-by-name': {
    tiers: { b: tier(5, {}), a: tier(5, { ...deny, ...tcp(80) }, next) },
    ...both('443,u53'),
  },
  'no-order-last': {
    tiers: { a: tier('default', {}), b: tier(1000, { ...deny, ...tcp(80) }, next) },
    ...both('443,u53'),
  },
  'policies-by-order': {
    tiers: {
      a: { order: 1, policies: { a: policy([tcp(80)], 2), b: policy([{ ...deny, ...fromRed }], 1.5) } },
    },
    red: 'X',
    blue: '80',
  },
  'policies-by-name': {
    tiers: {
      a: { order: 1, policies: { b: policy([tcp(80)], 2), a: policy([{ ...deny, ...fromRed }], 2) } },
    },
    red: 'X',
    blue: '80',
  },
  'policies-add-up': {
    tiers: { a: { order: 1, policies: { a: policy([tcp(80)]), b: policy([{ protocol: 'udp' }]) } } },
    ...both('80,u53'),
  },
  'next-skips-policies': {
    tiers: { a: { order: 1, policies: { a: policy([{ ...next, ...fromRed }], 1), b: policy([deny], 2) } } },
    red: '443',
    blue: 'X',
  },
  'tiers-before-profiles': { tiers: { a: tier(1, { ...deny, ...fromRed }, next) }, red: 'X', blue: '443' },
  'two-profiles': { tiers: {}, profiles: ['web', 'secure'], ...both('80,443') },
  'next-ends-a-profile': { tiers: {}, profiles: ['passing', 'web'], ...both('80') },
  'deny-ends-all': { tiers: {}, profiles: ['not-red', 'web', 'secure'], red: 'X', blue: '80,443' },
}

const ASKED = '80 443 u53'
const PROFILES = {
  red: { tags: ['red'], inbound: [{}] },
  blue: { tags: ['blue'], inbound: [{}] },
  web: { inbound: [tcp(80)] },
  secure: { inbound: [tcp(443)] },
  passing: { inbound: [next, {}] },
  'not-red': { inbound: [{ ...deny, ...fromRed }] },
}

export async function tiers(t: Test, stage: Stage, variant: Variant): Promise<void> {
  const scene = await openScene<string>(stage, variant, {
    red: 'n1 routed',
    blue: 'n2 routed',
    out: 'n2 routed',
    ...Object.fromEntries(Object.keys(CASES).map(name => [name, 'n1 routed'] as const)),
  })
  const { pods } = scene
  /** Gives a case's tiers names of their own and has them pick its pod alone. */
  const tiersFor = (name: string, tiers: Case['tiers']): [string, TierWords][] =>
    Object.entries(tiers).map(([tierName, { policies, ...rest }]) => {
      const picking = Object.entries(policies).map(([id, words]) => [
        id,
        { ...words, selector: `case == '${name}'` },
      ])
      return [`${tierName}.${name}`, { ...rest, policies: Object.fromEntries(picking) }]
    })
  const world = (
    cases: Readonly<Record<string, Pick<Case, 'tiers' | 'profiles'>>>,
    out?: Case['tiers'],
  ): WorldWords => ({
    endpoints: [
      { pod: pods.red!, profiles: ['red'] },
      { pod: pods.blue!, profiles: ['blue'] },
      { pod: pods.out!, profiles: ['secure'], labels: { case: 'out' } },
      ...Object.entries(cases).map(([name, { profiles = ['secure'] }]) => ({
        pod: pods[name]!,
        profiles,
        labels: { case: name },
      })),
    ],
    profiles: PROFILES,
    tiers: Object.fromEntries([
      ...Object.entries(cases).flatMap(([name, { tiers }]) => tiersFor(name, tiers)),
      ...tiersFor('out', out ?? {}),
    ]),
  })

  await t.test('inbound', async t => {
    await stage.show(world(CASES))
    await Promise.all(
      Object.entries(CASES).map(([name, { red, blue }]) =>
        scene.reaches(t, name, ASKED, tableOf({ [name]: { red, blue } })),
      ),
    )
  })

  await t.test('outbound', async t => {
    const play = async (title: string, cells: string, tiers: Case['tiers']) => {
      const outbound = Object.entries(tiers).map(([name, { order, policies }]) => {
        const turned = Object.entries(policies).map(([id, { inbound, ...rest }]) => [
          id,
          { ...rest, outbound: inbound },
        ])
        return [name, { order, policies: Object.fromEntries(turned) }]
      })
      await stage.show(world({}, Object.fromEntries(outbound)))
      await scene.reaches(t, title, ASKED, `red blue\nout ${cells}`)
    }
    const toRed = { dst_tag: 'red' }
    await play('no policy: the profile', '. .', {})
    await play('a deny before next-tier', 'X .', { a: tier(1, { ...deny, ...toRed }, next) })
    await play('end of tier', '80 80', { a: tier(1, tcp(80)) })
    await play('two tiers', 'X 80,443', {
      a: tier(1, { ...next, '!dst_tag': 'red' }),
      b: tier(2, { protocol: 'tcp' }),
    })
  })

  await t.test('what changes in the tiers', async t => {
    const play = async (
      title: string,
      [red, blue]: readonly [string, string],
      tiers: Case['tiers'],
      raw = {},
    ) => {
      await stage.show({ ...world({ 'two-tiers': { tiers } }), raw })
      await scene.reaches(t, title, ASKED, tableOf({ 'two-tiers': { red, blue } }))
    }
    const [a, b] = [
      (order: number) => tier(order, { ...deny, ...fromRed }, next),
      tier(2, { protocol: 'tcp' }),
    ]
    await play('before', ['X', '80,443'], { a: a(1), b })
    await play('the tiers change places', ['80,443', '80,443'], { a: a(3), b })
    await play('a policy goes', ['80,443', '80,443'], { b })
    await play('it is back', ['X', '80,443'], { a: a(1), b })
    const lone = {
      a: { order: 1, policies: { only: policy([tcp(443)], 2), early: policy([{ ...deny, ...fromRed }], 1) } },
    }
    await play('a policy is added', ['X', '443'], lone)
    const late = {
      a: { order: 1, policies: { ...lone.a.policies, early: policy([{ ...deny, ...fromRed }], 3) } },
    }
    await play('the policies change places', ['443', '443'], late)
    await play('all of them go', ['443', '443'], {})

    const [[name, words]] = tiersFor('two-tiers', { a: tier(1, tcp(80)) }) as [[string, TierWords]]
    const policyKey = `/calico/v1/policy/tier/${name}/policy/only`
    const value = JSON.stringify({ ...words.policies.only, inbound_rules: [tcp(80)], inbound: undefined })
    const metadata = { [`/calico/v1/policy/tier/${name}/metadata`]: '{"order":1}' }
    await play('a policy of a tier without metadata is ignored', ['443', '443'], {}, { [policyKey]: value })
    await play('the metadata appears', ['80', '80'], {}, { [policyKey]: value, ...metadata })
    await play('the metadata goes', ['443', '443'], {}, { [policyKey]: value })
  })
}
