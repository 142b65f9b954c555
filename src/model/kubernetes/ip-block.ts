import { type Cidr, cidrContains, formatCidr, parseCidr, subtractCidr } from '../cidr.ts'
import { listMember } from '../json.ts'
import { Refusal, show } from '../refusal.ts'
import { field, structOf } from './go-json.ts'

/** Past so many networks one block would burden every node; such a block is refused. */
const MOST_NETWORKS = 4096

/** As the API server reads these fields: a prefix length is a must, leading zeros are left out, host bits are masked. */
function decodeNet(value: unknown, place: string): Cidr {
  const text = typeof value === 'string' && value.includes('/') ? value : ''
  const plain = text.includes(':')
    ? text.replace(/\/0+(?=[0-9])/, '/')
    : text.replace(/(?<![0-9])0+(?=[0-9])/g, '')
  const net = parseCidr(plain)
  if (net !== null) return net
  throw new Refusal(
    place,
    `${show(value)} is not a network`,
    'Write ADDRESS/LENGTH, such as 10.0.0.0/8 or fd00::/8.',
  )
}

/** An ipBlock to the networks that make it up, the excepts taken out. Throws Refusal. */
export function decodeIpBlock(json: unknown, place: string): readonly string[] {
  const block = structOf(json, place)
  const whole = decodeNet(field(block, 'cidr'), `${place}.cidr`)
  let networks = [whole]
  listMember(block, 'except', `${place}.except`).forEach((value, at) => {
    const except = decodeNet(value, `${place}.except[${at}]`)
    const inside = cidrContains(whole, { family: except.family, value: except.base })
    if (!inside || except.length <= whole.length)
      throw new Refusal(
        `${place}.except[${at}]`,
        `${formatCidr(except)} is no strict part of ${formatCidr(whole)}`,
        'Name a smaller network inside of the block.',
      )
    networks = networks.flatMap(network => subtractCidr(network, except))
    if (networks.length > MOST_NETWORKS)
      throw new Refusal(
        `${place}.except[${at}]`,
        `the block falls into more than ${MOST_NETWORKS} networks`,
        'Name fewer excepts, or wider ones.',
      )
  })
  return networks.map(formatCidr)
}
