import { type Cluster, clusterMissing, startCluster } from '../kubernetes/support/cluster.ts'
import { namespaceObject, podObject, podStatus, policyObject } from '../kubernetes/support/objects.ts'
import { BenchAgent } from './bench-agent.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { emptyKernel } from './kernel-copy.ts'
import { cpuMs, rssByName, rssMb } from './process-figures.ts'
import { besideFloor, median, quantile } from './samples.ts'

const WORLD = 'K1'
const NAMESPACES = 500
const PODS = 5000
const POLICIES = 1000
/** Of the measured node: the first pod of each of the first namespaces. */
const LOCAL = 100
const NODE = 'k1'
const STARTS = 3
const N = 100
const REST_MS = 20
/** As for the other memory figure. */
const SETTLE_MS = 20_000
/** A pod elsewhere that the policy of a local one names. */
const POD = NAMESPACES + 7

/**
 * B14: an agent that watches a real API server with 5 000 pods, 500 namespaces and 1 000 NetworkPolicies: cold start, memory,
 * and one pod that joins and leaves a policy's peers, beside a bare watch of pods that sees the same change.
 */
export const kubernetesWorld: Bench = async (ground, say) => {
  if (clusterMissing) {
    say(`B14 is left out: ${clusterMissing}`)
    return []
  }
  const ends: (() => unknown)[] = []
  try {
    const scope = { teardown: (end: () => unknown) => void ends.unshift(end) }
    const cluster = await startCluster(scope, { address: ground.lab.storeAddress4 })
    say(`B14 fills a cluster with ${PODS} pods`)
    await fill(cluster)
    const node = ground.lab.node(NODE)
    await cluster.applyFile('src/deploy/rbac-agent.yaml')
    const { kubeconfig } = await cluster.serviceAccount('podfence/podfence-agent')
    const start = () => {
      const flags = ['--source', 'kubernetes', '--kubeconfig', kubeconfig]
      const agent = new BenchAgent(ground.processes, { node, flags })
      return { agent, enforced: agent.heard(line => line.includes('"msg":"enforced for the first time"')) }
    }
    const common = { bench: 'B14', world: WORLD, backend: ground.backend }

    say('B14 cold starts')
    const [starts, cpu]: number[][] = [[], []]
    let agent: BenchAgent | null = null
    scope.teardown(() => agent?.stop())
    for (let turn = 0; turn < STARTS; turn++) {
      await agent?.stop()
      await emptyKernel(node)
      const started = start()
      agent = started.agent
      starts!.push((await started.enforced) - agent.startedAt)
      cpu!.push(cpuMs(agent.pid))
    }
    const coldStart: Figure = {
      ...common,
      what: 'cold start with the Kubernetes API, exec to enforced on an empty kernel',
      n: STARTS,
      numbers: { p50_ms: median(starts!), max_ms: Math.max(...starts!), cpu_ms: median(cpu!) },
      targets: [],
    }
    await rest(SETTLE_MS)
    const memory = rssByName(agent!.pid)
    const monitor = memory.get('nft') ?? 0
    const footprint: Figure = {
      ...common,
      what: 'resident memory of the agent with its helpers',
      n: 1,
      numbers: {
        rss_mb: [...memory.values()].reduce((sum, mb) => sum + mb, 0) - monitor,
        node_mb: memory.get('node') ?? 0,
        node_peak_mb: rssMb(agent!.pid, true),
        monitor_mb: monitor,
      },
      targets: [],
    }
    say('B14 pods that join and leave')
    return [coldStart, footprint, { ...common, ...(await podChanges(cluster, agent!)) }]
  } finally {
    for (const end of ends) await end()
  }
}

/** From the request until the agent has enforced it, and until the bare watch has told of it. */
async function podChanges({ admin }: Cluster, agent: BenchAgent) {
  const { metadata } = await admin.list('Pod', undefined, { limit: 1 })
  const watch = await admin.watch('Pod', { resourceVersion: metadata.resourceVersion })
  const [ours, bare, own]: number[][] = [[], [], []]
  for (let turn = 0; turn < N; turn++) {
    const mark = `turn-${turn}`
    const applied = agent.heard(line => line.includes('"msg":"applied"'))
    const told = watch
      .first(({ object }) => object.metadata.labels?.mark === mark)
      .then(() => performance.now())
    const began = performance.now()
    await admin.patch('Pod', podId(POD), {
      metadata: { labels: { app: turn % 2 === 0 ? 'none' : 'a1', mark } },
    })
    const [at, seen] = await Promise.all([applied, told])
    ours!.push(at - began)
    bare!.push(seen - began)
    own!.push(at - seen)
    await rest(REST_MS)
  }
  watch.end()
  const numbers = {
    ...besideFloor(ours!, bare!),
    after_watch_p50_ms: median(own!),
    after_watch_p99_ms: quantile(own!, 0.99),
  }
  return {
    what: 'a pod joins or leaves the peers of a policy, request to enforced; the floor is a bare watch',
    n: N,
    numbers,
    targets: [atMost(numbers.after_watch_p50_ms, 3, '<= 3 ms after a bare watch has told, as B2')],
  }
}

/** Each namespace has pods of ten applications and two policies, one of which names pods of other namespaces. */
async function fill({ admin }: Cluster): Promise<void> {
  const each = (count: number, make: (index: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: count }, (_, index) => make(index)))
  await each(NAMESPACES, index => admin.create(namespaceObject(`ns${index}`, { team: `t${index % 50}` })))
  await each(PODS, async index => {
    const node = index < LOCAL ? NODE : `h${index % 100}`
    const labels = { app: `a${Math.floor(index / NAMESPACES)}` }
    await admin.create(podObject(podId(index), { node, labels }))
    await admin.patch('Pod', podId(index), podStatus([`10.128.${index >> 8}.${index & 255}`]), 'status')
  })
  await each(POLICIES, index => {
    const namespace = index % NAMESPACES
    const within = index < NAMESPACES
    const from = within
      ? { podSelector: { matchLabels: { app: 'a1' } } }
      : {
          namespaceSelector: { matchLabels: { team: `t${(index + 1) % 50}` } },
          podSelector: { matchLabels: { app: 'a2' } },
        }
    const podSelector = within ? { matchLabels: { app: 'a0' } } : {}
    const ports = [{ protocol: 'TCP', port: within ? 8000 : 9000 }]
    return admin.create(
      policyObject(`ns${namespace}/p${index}`, { podSelector, ingress: [{ from: [from], ports }] }),
    )
  })
}

function podId(index: number): string {
  return `ns${index % NAMESPACES}/p${index}`
}
