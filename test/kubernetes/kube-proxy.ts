// Runs alone: an API server, two agents and two kube-proxies keep both cores busy, and what is cut must be silent within a second.
import { setTimeout as pause } from 'node:timers/promises'
import { moment } from '../../src/lab/probe.ts'
import { openFlows } from '../e2e/support/flows.ts'
import { foreignText, ownText } from '../e2e/support/foreign-text.ts'
import { playScenarios } from '../stage.ts'
import { clusterMissing } from './support/cluster.ts'
import { kubeProxyMissing } from './support/kube-proxy-process.ts'
import { misplacedJumps, watchMarks } from './support/kube-proxy-rules.ts'
import { openProxiedCluster } from './support/proxied-cluster.ts'
import { SERVICE_PORT } from './support/service-objects.ts'

const PATIENCE_MS = 20_000

/** Every path of the README's table of kube-proxy, with the real one beside podfence on both nodes. */
await playScenarios(
  { agents: false, missing: clusterMissing || kubeProxyMissing },
  async (t, stage, variant) => {
    const { lab } = stage
    const { nodes, probe } = lab
    const ground = await openProxiedCluster(t, stage, variant)
    const { calls, clients, outsider } = ground
    const theirs = () => Promise.all(nodes.map(foreignText))
    const ours = () => Promise.all(nodes.map(ownText))
    /** How often each agent has told of repairs; its log is kept from one variant to the next. */
    const repairs = () =>
      [...stage.agents.values()].map(agent => agent.log().match(/foreign changes repaired/g)?.length ?? 0)
    const repaired = repairs()
    const proxies = await ground.startProxies()

    await t.test('kube-proxy puts its jumps before ours, and ours go to the front again', async t => {
      const began = moment()
      const moved = () => repairs().every((count, at) => count > repaired[at]!)
      let misplaced = await misplacedJumps(nodes, variant.families)
      while ((misplaced.length > 0 || !moved()) && moment() - began < PATIENCE_MS) {
        await pause(50)
        misplaced = await misplacedJumps(nodes, variant.families)
      }
      t.same(misplaced, [])
      t.ok(moved(), 'both agents tell of it')
    })
    const marks = await watchMarks(nodes, variant.families)
    const first = await theirs()

    await t.test('whom policy sees, and whom the pod', async t => {
      await calls.meet(
        t,
        'pods by label: judged is who begins a call, at the pod where it ends',
        () => ground.allow(clients),
        `
                web     bridged  far     web:8080  web@n1  bridged@n1  far@n2  web@n2  bridged@n2  far@n1  web-local@n1  bridged-local@n1  web-local@n2
      client    client  client   client  client    n1      n1          n2      X       X           X       client        client            -
      mate      mate    mate     mate    mate      n1      n1          n2      X       X           X       mate          mate              mate
      stranger  X       X        X       X         X       X           X       X       X           X       X             X                 -
      web       n1      X        X       web       n1      X           X       X       X           X       n1            X                 -
      bridged   X       n1       X       X         X       n1          X       X       X           X       X             n1                -
      far       X       X        n2      X         X       X           n2      X       X           X       X             X                 X
      external  -       -        -       X         X       X           X       X       X           X       X             X                 X
      n1        n1      n1       X       n1        n1      n1          X       X       X           X       n1            n1                -
      n2        X       X        n2      X         X       X           n2      X       X           X       X             X                 X
      `,
      )
      await calls.meet(
        t,
        'a client from outside: itself at the node of the pod, and nowhere else',
        () => ground.allow([...clients, ...outsider]),
        `
                web  bridged  far  web:8080  web@n1  bridged@n1  far@n2  web@n2  bridged@n2  far@n1  web-local@n1  bridged-local@n1  web-local@n2
      external  -    -        -    external  n1      n1          n2      X       X           X       external      external          X
      stranger  X    X        X    X         X       X           X       X       X           X       X             X                 -
      n1        n1   n1       X    n1        n1      n1          X       X       X           X       n1            n1                -
      n2        X    X        n2   X         X       X           n2      X       X           X       X             X                 X
      `,
      )
      await calls.meet(
        t,
        'nodes: what they send themselves, their host network too, and what they masquerade for others',
        () => ground.allow(ground.nodes),
        `
                web  bridged  far  web:8080  web@n1  bridged@n1  far@n2  web@n2  bridged@n2  far@n1  web-local@n1  bridged-local@n1  web-local@n2
      external  -    -        -    X         X       X           X       n2      n2          n1      X             X                 X
      client    X    X        X    X         X       X           X       n2      n2          n1      X             X                 -
      mate      X    X        X    X         X       X           X       n2      n2          n1      X             X                 X
      web       n1   X        X    web       n1      X           X       n2      n2          n1      n1            X                 -
      n1        n1   n1       n1   n1        n1      n1          n2      n2      n2          n1      n1            n1                -
      n2        n2   n2       n2   n2        n1      n1          n2      n2      n2          n1      n2            n2                n2
      `,
      )
      await calls.meet(
        t,
        "ports: the pod's, neither the service's nor the node's",
        () => ground.allow([...clients, ...outsider], [SERVICE_PORT, ...ground.nodePorts]),
        `
                web  bridged  far  web:8080  web:80    web@n1  far@n2  web-local@n1
      client    X    X        X    X         client    X       X       X
      mate      X    X        X    X         mate      X       X       X
      external  -    -        -    X         external  X       X       X
      `,
      )
    })

    const everyone = [...clients, ...outsider, ...ground.nodes]
    await t.test('closing cuts what is open', async t => {
      const held = 'web@n1 web@n2 web-local@n1\nexternal n1 n2 external'
      await calls.meet(t, 'open to all', () => ground.allow(everyone), held)
      const own = await openFlows(probe, calls.ways('bridged bridged', 'n1 bridged'), ['both'])
      const flows = await openFlows(
        probe,
        calls.ways(
          ...['client web', 'mate far', 'n2 web'],
          ...['external web@n1', 'external web@n2', 'external web-local@n1'],
        ),
      )
      await flows.flowing(t, 'all flow before')
      await ground.allow([])
      await flows.silentWithinASecond(t, 'no packet passes in either direction', moment())
      await ground.allow(everyone)
      await flows.connect(t, 'allowed again, a new connection comes about')
      await flows.stop()
      await own.unharmed(t, "a pod's own and its node's have lost nothing")
      await own.stop()
    })
    t.same(await theirs(), first, 'whatever policy has said so far: their rules stand')

    await t.test('each leaves the rules of the other alone', async t => {
      const ways = calls.ways(
        ...['client web', 'mate bridged', 'web web'],
        ...['external far@n2', 'external web-local@n1', 'external web@n2'],
      )
      const flows = await openFlows(probe, ways, ['both'], false)
      const hold = (title: string) =>
        calls.meet(
          t,
          title,
          async () => {},
          `
                  web     far     web@n1  web@n2  web-local@n1
        client    client  client  n1      n2      client
        stranger  X       X       X       n2      X
        external  -       -       n1      n2      external
        `,
        )
      const standing = await ours()
      for (const proxy of proxies) await proxy.rewrite()
      t.same(await ours(), standing, 'kube-proxy writes all its rules anew: ours stand')
      await Promise.all(proxies.map(proxy => proxy.stop()))
      await Promise.all(proxies.map(proxy => proxy.start()))
      t.same(await ours(), standing, 'kube-proxy is started again: ours stand')
      await hold('and hold')
      const before = await theirs()
      await ground.stop()
      await ground.start()
      t.same(await theirs(), before, 'podfence is started again: theirs stand')
      await hold('and lead where they led')
      await flows.unharmed(t, 'what was open all the while has lost nothing')
      await flows.stop()
    })
    const last = await theirs()

    await t.test('the node itself, where policy judges it', async t => {
      await ground.stop()
      await ground.start('--node-to-workload', 'policy')
      await calls.meet(
        t,
        'closed',
        () => ground.allow(clients),
        `
           web  bridged  web:8080  bridged:8080  web@n1  bridged@n1  web-local@n1
      n1   X    X        X         X             X       X           X
      web  n1   X        web       X             n1      X           n1
      `,
      )
      await calls.meet(
        t,
        'opened by the address by which others call it: for a pod straight on its bridge it has another',
        () => ground.allow([...clients, ...ground.n1]),
        `
           web  bridged  bridged:8080  web@n1  bridged@n1  web-local@n1
      n1   n1   n1       X             n1      n1          n1
      `,
      )
      await calls.meet(
        t,
        'opened by all its addresses',
        () => ground.allow([...clients, ...ground.nodes]),
        `
           web  bridged  web:8080  bridged:8080  web@n1  bridged@n1  web-local@n1
      n1   n1   n1       n1        n1            n1      n1          n1
      `,
      )
    })

    t.same(await theirs(), last, 'nothing of theirs has changed')
    await marks.judge(t)
    await ground.stop()
  },
)
