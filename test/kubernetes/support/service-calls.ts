import type { Test } from 'tap'
import type { MatrixPlace } from '../../../src/lab/matrix.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import { moment } from '../../../src/lab/probe.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Family } from '../../../src/model/values.ts'
import type { Way } from '../../e2e/support/flows.ts'
import type { Variant } from '../../stage.ts'
import { type PodService, SERVICE_PORT } from './service-objects.ts'

interface Call {
  readonly text: string
  readonly from: MatrixPlace
  readonly address: string
  readonly port: number
  /** By which addresses the server may know who calls; null: nothing may come of it. */
  readonly seen: readonly string[] | null
}

/** How long an answer is waited for that is not to come, and one that is. */
const SILENCE_MS = 400
const ANSWER_MS = 3000
const PATIENCE_MS = 20_000

/**
 * Who calls which service, and whom the pod behind it sees. What is called is written
 *
 *     web         the address of the service `web`, at the service's own port
 *     web@n1      its node port on n1
 *     web:8080    the pod of that name itself
 */
export class ServiceCalls {
  readonly #stage: Stage
  readonly #variant: Variant
  readonly #services: readonly PodService[]

  constructor(stage: Stage, variant: Variant, services: readonly PodService[]) {
    this.#stage = stage
    this.#variant = variant
    this.#services = services
  }

  /**
   * Makes a change and waits until every call ends as a table has it; then all are tried once more, so that also what was
   * as expected already before the change is judged after it. The table's rows call, its columns are called; a cell names
   * whom the server sees (a node: any of its addresses), `X` for a call that nothing comes of, `-` for none.
   */
  async meet(t: Test, title: string, change: () => Promise<unknown>, table: string): Promise<void> {
    await change()
    const calls = this.#variant.families.flatMap(family => this.#calls(table, family))
    const began = moment()
    await Promise.all(
      calls.map(async call => {
        while ((await this.#wrong(call)) !== null && moment() - began < PATIENCE_MS);
      }),
    )
    const wrong = (await Promise.all(calls.map(call => this.#wrong(call)))).filter(text => text !== null)
    t.same(wrong, [], title)
    t.comment(`${title}: ${calls.length} calls`)
  }

  /** Calls as ways for connections that stay open: `client web`. */
  ways(...list: readonly string[]): Way[] {
    return this.#variant.families.flatMap(family =>
      list.map(text => {
        const [from = '', called = ''] = text.split(' ')
        const server = this.#called(called).service.pod
        const way = { name: `${text} IPv${family}`, client: this.#place(from), server }
        return { ...way, ...this.#target(called, family) }
      }),
    )
  }

  async #wrong({ text, from, address, port, seen }: Call): Promise<string | null> {
    const timeoutMs = seen === null ? SILENCE_MS : ANSWER_MS
    const { outcome, peer } = await this.#stage.lab.probe.tcp(from, { address, port, timeoutMs })
    // A node that may not send is told so at once.
    const silent = outcome === 'timeout' || (outcome === 'prohibited' && this.#isNode(from))
    const right = seen === null ? silent : outcome === 'open' && seen.includes(peer!)
    return right ? null : `${text}, not ${outcome}${peer === null ? '' : ` as ${peer}`}`
  }

  #calls(table: string, family: Family): Call[] {
    const [heading = [], ...rows] = table
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(([first]) => first !== '')
    return rows.flatMap(([caller = '', ...cells]) => {
      if (cells.length !== heading.length)
        throw new Error(`the row of ${caller} is not as long as the heading`)
      const from = this.#place(caller)
      return cells.flatMap((cell, at) => {
        if (cell === '-') return []
        const called = heading[at]!
        const seen = cell === 'X' ? null : addresses(this.#place(cell), family)
        const text = `${caller} to ${called} IPv${family}: ${cell} expected`
        return { text, from, seen, ...this.#target(called, family) }
      })
    })
  }

  #target(called: string, family: Family): { readonly address: string; readonly port: number } {
    const { service, node, port } = this.#called(called)
    if (port !== null) return { address: addresses(service.pod, family)[0]!, port }
    if (node !== null) return { address: addresses(node, family)[0]!, port: service.nodePort }
    return { address: family === 4 ? service.address4 : service.address6, port: SERVICE_PORT }
  }

  #called(text: string) {
    const [, name, node, port] = /^([\w-]+)(?:@(\w+)|:(\d+))?$/.exec(text) ?? []
    const service = this.#services.find(each => each.name === name)
    if (service === undefined) throw new Error(`there is no service ${text}`)
    return {
      service,
      node: node === undefined ? null : this.#stage.lab.node(node),
      port: port === undefined ? null : Number(port),
    }
  }

  #place(name: string): MatrixPlace {
    const { pods, nodes, external } = this.#stage.lab
    const found = [...pods, ...nodes, { ...external, name: 'external' }].find(place => place.name === name)
    if (found === undefined) throw new Error(`there is nobody called ${name}`)
    return found
  }

  #isNode(place: MatrixPlace): boolean {
    return this.#stage.lab.nodes.some(({ name }) => name === place.name)
  }
}

/** A place's own addresses of a family, the one that others call it by first. */
function addresses(place: MatrixPlace | LabNode, family: Family): string[] {
  const own = family === 4 ? place.address4! : place.address6!
  if (!('gateway4' in place)) return [own]
  return [own, family === 4 ? place.gateway4 : place.gateway6]
}
