import type { Test } from 'tap'
import { type MatrixPlace, probeMatrix } from '../../../src/lab/matrix.ts'
import type { LabPod, PodRequest } from '../../../src/lab/pod.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Family } from '../../../src/model/values.ts'
import { cutSetName } from '../../../src/render/sets.ts'
import type { Variant } from '../../stage.ts'
import { questions } from './ask.ts'
import { readTable } from './table.ts'

/** Where a pod stands: `n1 routed`, `n2 bridge`. */
export type Standing = `${string} ${LabPod['kind']}`

/** The address by which a place is called instead of its own: a service's. */
export type Through = (place: MatrixPlace, family: Family) => string

/** Pods by name on a stage, and what may reach what as a table. */
export interface Scene<Name extends string> {
  /** The pods as they stand now. */
  readonly pods: Readonly<Record<Name, LabPod>>
  /**
   * Asks every pair with real packets, in every family at once, and compares with a table of rows (who asks) and
   * columns (who is asked). A cell lists the questions that come through: `.` all, `X` none, `-` not asked.
   * Rows and columns name pods, nodes or `external`. Resolves with whether all is as expected.
   *
   *     await scene.reaches(t, 'a title', '80 u53 ping', `
   *              web       db
   *       a      80,ping   X
   *       b      .         -
   *     `)
   */
  reaches(
    t: Test,
    title: string,
    asked: string,
    table: string,
    families?: readonly Family[],
    how?: { readonly through?: Through; readonly withoutAgents?: true },
  ): Promise<boolean>
  /** Takes a pod away and puts another one of the same name in its place. */
  replace(name: Name, standing: Standing, request?: Partial<PodRequest>): Promise<LabPod>
}

export async function openScene<const Name extends string>(
  stage: Stage,
  variant: Variant,
  cast: Readonly<Record<Name, Standing>>,
): Promise<Scene<Name>> {
  const { lab } = stage
  const { probe } = lab
  const external: MatrixPlace = { ...lab.external, name: 'external' }
  const served = new WeakMap<MatrixPlace, Map<string, Promise<void>>>()

  const requestOf = (name: string, standing: Standing): PodRequest => {
    const [node = '', kind] = standing.split(' ')
    return { name, node: lab.node(node), kind: kind as LabPod['kind'] }
  }
  const entries = Object.entries<Standing>(cast)
  const made = await lab.addPods(entries.map(([name, standing]) => requestOf(name, standing)))
  const pods = Object.fromEntries(made.map(pod => [pod.name, pod])) as Record<Name, LabPod>

  const isNode = (name: string) => lab.nodes.some(node => node.name === name)

  const listen = async (place: MatrixPlace, protocol: 'tcp' | 'udp', port: number): Promise<void> => {
    // A node has many addresses, and datagrams are to be answered from the one that was asked.
    const own = isNode(place.name) ? [place.address4!, place.address6!] : [undefined]
    for (const address of own)
      await probe.listen(place, { protocol, port, ...(address === undefined ? {} : { address }) })
  }
  /** Every question of a server waits until it is there, also those that are asked at the same time. */
  const serve = (place: MatrixPlace, protocol: 'tcp' | 'udp', port: number): Promise<void> => {
    const servers = served.get(place) ?? new Map<string, Promise<void>>()
    served.set(place, servers)
    const serving = servers.get(`${protocol} ${port}`) ?? listen(place, protocol, port)
    servers.set(`${protocol} ${port}`, serving)
    return serving
  }

  const placeNamed = (name: string): MatrixPlace =>
    name === 'external' ? external : (lab.pods.find(pod => pod.name === name) ?? lab.node(name))

  return {
    pods,
    async reaches(t, title, asked, text, families = variant.families, how = {}) {
      const { through, withoutAgents } = how
      // Nothing passes where nothing ever opened anything: an agent that crashed must not look like a denial.
      if (!withoutAgents && stage.agents.size < lab.nodes.length)
        return t.fail(`${title}: an agent has ended`)
      const table = readTable(text, asked.split(' '), placeNamed)
      const asks = questions(probe, asked, address => placeWith(table.columns, address))
      for (const { server } of asks)
        for (const place of server === null ? [] : table.columns)
          await serve(place, server!.protocol, server!.port)
      const wrong: string[] = []
      const rounds = asks.flatMap(({ text: word, ask }) =>
        families.map(async family => {
          const { rows } = table
          const columns = table.columns.map(place => called(place, through))
          const expected = (from: MatrixPlace, to: MatrixPlace) =>
            table.expected(from, table.columns[columns.indexOf(to)]!, word)
          const { cells } = await probeMatrix(probe, { rows, columns, family, protocol: ask, expected })
          // A refusal of the target's own would mean that the packet came through. A node is told of its own drops,
          // and a target whose neighbour discovery is dropped too is unreachable after a while.
          for (const { from, to, expected: open, outcome } of cells) {
            const silent = outcome === 'timeout' || outcome === 'unreachable'
            const dropped = silent || (outcome === 'prohibited' && isNode(from))
            if (open ? outcome === 'open' : dropped) continue
            wrong.push(
              `${from} -> ${to} ${word} IPv${family}: ${open ? 'allow' : 'deny'} expected, ${outcome}`,
            )
          }
        }),
      )
      await Promise.all(rounds)
      if (wrong.length > 0) await tellWhy(t, stage)
      return t.same(wrong, [], title)
    },
    async replace(name, standing, request = {}) {
      await lab.removePods([pods[name]])
      const [pod] = await lab.addPods([{ ...requestOf(name, standing), ...request }])
      pods[name] = pod!
      return pod!
    },
  }
}

function placeWith(places: readonly MatrixPlace[], address: string): MatrixPlace {
  return places.find(({ address4, address6 }) => address4 === address || address6 === address)!
}

function called(place: MatrixPlace, through: Through | undefined): MatrixPlace {
  if (through === undefined) return place
  const { name, namespace } = place
  return { name, namespace, address4: through(place, 4), address6: through(place, 6) }
}

/** What the agents did last and what they have closed, for whoever reads a failure afterwards. */
async function tellWhy(t: Test, { agents, lab }: Stage): Promise<void> {
  for (const [name, agent] of agents) t.comment(`the agent of ${name}:\n${agent.log().slice(-3000)}`)
  for (const node of lab.nodes)
    for (const family of [4, 6] as const) {
      const { stdout } = await node.run(['ipset', 'save', cutSetName(family)], { allowFailure: true })
      t.comment(`closed on ${node.name}:\n${stdout}`)
    }
}
