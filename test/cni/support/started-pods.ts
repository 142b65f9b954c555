import type { Test } from 'tap'
import { systemProcesses } from '../../../src/kernel/process.ts'
import { netSettings, sandboxCommands } from '../../../src/lab/commands.ts'
import type { Capture, Place } from '../../../src/lab/probe.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Family } from '../../../src/model/values.ts'
import type { CniCaller, Conflist, Sandbox } from './caller.ts'
import { asking } from './network.ts'

/** A pod that the CNI chain has given its network. */
export interface StartedPod extends Sandbox, Place {
  readonly address4: string
  readonly address6: string
}

/** Who says what policy a pod has: the controller's part in etcd, or objects of Kubernetes. */
export interface PodPolicy {
  /** Of podfence-cni's configuration: how its policy comes. */
  readonly own: Readonly<Record<string, unknown>>
  /** Lets the stage's friends reach a pod, and nobody else. Called before ADD; `late`: known only after it has begun. */
  declare(pod: string, late: boolean): Promise<void>
  /** The pod runs. */
  started?(pod: StartedPod): Promise<void>
  close(): Promise<void>
}

export interface StartOptions {
  readonly caller: CniCaller
  readonly network: Conflist
  readonly policy: PodPolicy
  readonly families: readonly Family[]
  /** Numbers of the pods, which make their names and addresses. */
  readonly numbers: readonly number[]
  readonly atOnce: number
  /** Run already and may reach every pod. */
  readonly friends: readonly Place[]
  /** Try from before the first millisecond and may not. */
  readonly strangers: readonly Place[]
}

/** UDP ports: strangers', friends' from before the pod is there, friends' first packet after ADD. */
const DENIED = 7001
const EARLY = 7002
const FIRST = 7003
/** How often each stranger and friend tries, a second. */
const RATE = 500

/**
 * Makes namespaces, sends packets to the addresses that their pods will have, calls the chain for each, and looks what has
 * come into them since they were made: nothing of strangers, and each friend's first packet after ADD.
 */
export async function startPods(t: Test, stage: Stage, options: StartOptions): Promise<StartedPod[]> {
  const { lab } = stage
  const { numbers, atOnce, friends, strangers, families } = options
  const pods = numbers.map(podNumbered)
  const [denied, early, lost, times]: [string[], string[], string[], number[]] = [[], [], [], []]
  for (let from = 0; from < pods.length; from += atOnce) {
    const batch = pods.slice(from, from + atOnce)
    await Promise.all(batch.map(one))
  }
  const sorted = times.toSorted((a, b) => a - b)
  t.comment(
    `${pods.length} pods, ${atOnce} at once: ADD of the chain took ${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms at most`,
  )
  t.same(denied, [], "no packet of a stranger's came into a pod")
  t.same(lost, [], "each friend's first packet after ADD came into its pod")
  t.same(early, [], 'and those that friends had sent all the while came too, so strangers were heard')
  return pods

  async function one(pod: StartedPod): Promise<void> {
    const { probe } = lab
    await makeNamespace(pod)
    for (const port of [EARLY, FIRST]) await probe.listen(pod, { protocol: 'udp', port })
    const captures = await Promise.all(
      [DENIED, EARLY].map(port => probe.capture(pod, { protocol: 17, toPort: port })),
    )
    const targets = families.map(family => (family === 4 ? pod.address4 : pod.address6))
    const send = (places: readonly Place[], port: number) =>
      places.flatMap(place =>
        targets.map(address =>
          probe.flow(place, {
            protocol: 'udp',
            address,
            port,
            unanswered: true,
            direction: 'up',
            rate: RATE,
          }),
        ),
      )
    const flows = await Promise.all([...send(strangers, DENIED), ...send(friends, EARLY)])
    const { args } = asking(numbers[pods.indexOf(pod)]!)
    await options.policy.declare(pod.pod, pods.indexOf(pod) % 2 === 1)
    const began = performance.now()
    await options.caller.add(options.network, pod, args)
    times.push(Math.round(performance.now() - began))
    for (const friend of friends)
      for (const address of targets) {
        const { arrived } = await probe.oneWay(friend, { address, port: FIRST, timeoutMs: 3000 })
        if (arrived !== 1) lost.push(`${friend.namespace} to ${pod.pod} ${address}`)
      }
    await options.policy.started?.(pod)
    for (const flow of flows) await flow.stop()
    const [strange, friendly] = await Promise.all(captures.map(stopped))
    if (strange! > 0) denied.push(`${pod.pod}: ${strange}`)
    if (friendly! < friends.length * targets.length) early.push(`${pod.pod}: ${friendly}`)
  }
}

/** The pod of this number, which nothing has been done for yet. */
export function podNumbered(number: number): StartedPod {
  const name = `cni${number}`
  const { address4, address6 } = asking(number)
  return {
    id: `sandbox-${name}`,
    pod: `default/${name}`,
    namespace: name,
    netns: `/run/netns/${name}`,
    address4,
    address6,
  }
}

/** What a runtime makes before it calls the chain. Duplicate address detection would hold up IPv6 for seconds. */
export async function makeNamespace({ namespace }: Place): Promise<void> {
  const settings = { 'ipv6/conf/all/accept_dad': 0, 'ipv6/conf/default/accept_dad': 0 }
  const made = { namespace: null, ip: [`netns add ${namespace}`] }
  await sandboxCommands(systemProcesses()).script([made, netSettings(namespace, settings)])
}

/** Takes a pod away as a runtime does: the chain first, then the namespace. */
export async function endPod(
  stage: Stage,
  caller: CniCaller,
  network: Conflist,
  pod: StartedPod,
): Promise<void> {
  await caller.del(network, pod)
  await stage.lab.probe.forget(pod)
  await sandboxCommands(systemProcesses()).script([{ namespace: null, ip: [`netns del ${pod.namespace}`] }])
}

async function stopped(capture: Capture): Promise<number> {
  const { came } = await capture.read()
  await capture.stop()
  return came
}
