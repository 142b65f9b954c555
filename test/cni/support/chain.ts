import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Variant } from '../../stage.ts'
import type { CniCaller, CniError, Conflist } from './caller.ts'
import { asking } from './network.ts'
import { endPod, makeNamespace, type PodPolicy, type StartedPod } from './started-pods.ts'

/** A chain with podfence-cni on the node n1, whose agent runs. */
export interface Chain {
  readonly stage: Stage
  readonly variant: Variant
  readonly caller: CniCaller
  readonly network: Conflist
  /** May reach every pod but the secret ones. */
  readonly client: LabPod
  /** Starts the agent of n1 as it was, with more flags behind. */
  readonly start: (...flags: string[]) => void
  /** A policy that lets nobody in. */
  readonly secrecy: () => PodPolicy
}

/** CHECK with the agent that did the ADD, with none, and with one that has just started. */
export async function playChecks(t: Test, chain: Chain, pods: readonly StartedPod[]): Promise<void> {
  const { stage, caller, network, start } = chain
  const [first, second] = pods as [StartedPod, StartedPod]
  for (const pod of [first, second]) await caller.check(network, pod)
  await stage.agents.get('n1')!.stop()
  t.equal(await codeOf(caller.check(network, first)), 11, 'no agent')
  start()
  await eventually(async () => (await codeOf(caller.check(network, first))) === 0)
  await caller.check(network, second)
  const other = { ...first, pod: second.pod }
  t.ok([3, 11].includes(await codeOf(caller.check(own(network, { timeout: 1 }), other))), 'another pod')
}

/** The second pod ends, and its addresses go to one that nobody may reach, with a friend sending all the while. */
export async function playReuse(t: Test, chain: Chain, former: StartedPod): Promise<void> {
  const { stage, caller, network, client, variant, secrecy } = chain
  const { probe } = stage.lab
  const addresses = variant.families.map(family => (family === 4 ? former.address4 : former.address6))
  const sending = { protocol: 'udp', port: 7002, direction: 'up', unanswered: true, rate: 200 } as const
  const flows = await Promise.all(addresses.map(address => probe.flow(client, { ...sending, address })))
  await endPod(stage, caller, network, former)
  const secret: StartedPod = {
    ...former,
    id: 'sandbox-secret',
    pod: 'default/secret',
    namespace: 'secret',
    netns: '/run/netns/secret',
  }
  await makeNamespace(secret)
  const captures = await Promise.all(
    [client.address4!, client.address6!].map(from => probe.capture(secret, { from, protocol: 17 })),
  )
  const policy = secrecy()
  t.teardown(() => policy.close())
  await policy.declare(secret.pod, true)
  await caller.add(network, secret, asking(Number(former.namespace.slice('cni'.length))).args)
  await policy.started?.(secret)
  await pause(200)
  const came = await Promise.all(captures.map(async capture => (await capture.read()).came))
  t.same(came, [0, 0], 'nothing came into it')
  for (const each of [...flows, ...captures]) await each.stop()

  await caller.del(network, former)
  await caller.check(network, secret)
  t.pass('DEL once more of the pod that is gone took nothing from the new one')
  await endPod(stage, caller, network, secret)
}

/** The network with more of podfence-cni's own keys. */
export function own(network: Conflist, more: Readonly<Record<string, unknown>>): Conflist {
  const plugins = network.plugins.map(plugin =>
    plugin.type === 'podfence-cni' ? { ...plugin, ...more } : plugin,
  )
  return { ...network, plugins }
}

/** The network for podfence-cni alone: the reference plugins end at 1.0.0. */
export function newest(network: Conflist): Conflist {
  return { ...network, cniVersion: '1.1.0' }
}

/** 0, or the code of the CNI error of podfence-cni. Throws what is none. */
export async function codeOf(work: Promise<unknown>): Promise<number> {
  try {
    await work
    return 0
  } catch (error) {
    const { plugin, code } = error as CniError
    if (plugin !== 'podfence-cni') throw error
    return code
  }
}

const PATIENCE_MS = 30_000

/** Throws when that does not come about. */
export async function eventually(ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await ready())) {
    if (Date.now() > deadline) throw new Error('it does not come about')
    await pause(50)
  }
}
