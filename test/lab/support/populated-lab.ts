import { setTimeout as pause } from 'node:timers/promises'
import { systemProcesses } from '../../../src/kernel/process.ts'
import { type Lab, openLab } from '../../../src/lab/lab.ts'
import { type MatrixResult, probeMatrix } from '../../../src/lab/matrix.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Family } from '../../../src/model/values.ts'

export const processes = systemProcesses()
export const FAMILIES: readonly Family[] = [4, 6]

interface Tearing {
  teardown(action: () => Promise<void>): unknown
}

/** Two nodes with three pods each, two routed and one (on node2: two) on the bridge; servers on all. */
export async function populated(t: Tearing, backend: 'nft' | 'legacy'): Promise<Lab> {
  // The kernel's own reverse path check would stop what is spoofed before any rule of ours could.
  const lab = await openLab({ nodes: ['node1', 'node2'], backend, rpFilter: 0 }, processes)
  t.teardown(() => lab.close())
  const [node1, node2] = [lab.node('node1'), lab.node('node2')]
  const pods = await lab.addPods([
    { name: 'r1', node: node1, kind: 'routed' },
    { name: 'r2', node: node1, kind: 'routed' },
    { name: 'b1', node: node1, kind: 'bridge' },
    { name: 'b2', node: node1, kind: 'bridge', hairpin: true },
    { name: 'r3', node: node2, kind: 'routed' },
    { name: 'b3', node: node2, kind: 'bridge' },
  ])
  for (const pod of pods) await serve(lab, pod)
  return lab
}

export async function serve(lab: Lab, pod: LabPod): Promise<void> {
  await lab.probe.listen(pod, { protocol: 'tcp', port: 80 })
  await lab.probe.listen(pod, { protocol: 'udp', port: 53 })
}

export const podOf = (lab: Lab, name: string) => lab.pods.find(pod => pod.name === name)!
export const address = (pod: LabPod, family: Family) => (family === 4 ? pod.address4 : pod.address6)!

export function matrix(
  lab: Lab,
  family: Family,
  protocol: 'tcp' | 'udp' | 'icmp',
  expected: (from: LabPod, to: LabPod) => boolean,
): Promise<MatrixResult> {
  const port = protocol === 'tcp' ? 80 : 53
  return probeMatrix(lab.probe, {
    rows: lab.pods,
    columns: lab.pods,
    family,
    protocol,
    port,
    timeoutMs: 150,
    expected,
  })
}

/** Polls without judging how long it takes; a condition that never comes fails the test. */
export async function until(condition: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    if (await condition()) return true
    await pause(25)
  }
  return false
}
