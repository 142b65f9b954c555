import { type JsonObject, listMember } from '../json.ts'
import { Refusal } from '../refusal.ts'
import { field, structOf } from './go-json.ts'
import type { NamedPort } from './named-ports.ts'
import { decodePortName } from './object-name.ts'
import { decodePortNumber, decodeProtocol } from './policy-port.ts'

const NONE: readonly NamedPort[] = []

function collect(container: JsonObject, place: string, ports: Map<string, NamedPort>): void {
  listMember(container, 'ports', `${place}.ports`).forEach((json, at) => {
    const here = `${place}.ports[${at}]`
    const port = structOf(json, here)
    const number = decodePortNumber(field(port, 'containerPort'), `${here}.containerPort`)
    const protocol = decodeProtocol(field(port, 'protocol'), `${here}.protocol`)
    const own = field(port, 'name') ?? ''
    if (own === '') return
    if (typeof own !== 'string') throw new Refusal(`${here}.name`, 'a name is a text', 'Put it into quotes.')
    const name = `${protocol}.${decodePortName(own, `${here}.name`)}`
    if (!ports.has(name)) ports.set(name, { name, number })
  })
}

/**
 * The named ports of a pod's containers, and of init containers that go on running beside them (restartPolicy
 * Always). The first of two with one name and protocol counts, as for Services. Throws Refusal.
 */
export function decodeNamedPorts(spec: JsonObject): readonly NamedPort[] {
  const ports = new Map<string, NamedPort>()
  for (const list of ['containers', 'initContainers'])
    listMember(spec, list, `spec.${list}`).forEach((json, at) => {
      const container = structOf(json, `spec.${list}[${at}]`)
      if (list === 'containers' || field(container, 'restartPolicy') === 'Always')
        collect(container, `spec.${list}[${at}]`, ports)
    })
  return ports.size === 0 ? NONE : [...ports.values()]
}
