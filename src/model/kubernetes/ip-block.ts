import { type Cidr, cidrContains, parseCidr, subtractCidr } from '../cidr.ts'
import { type JsonObject, listMember, member } from '../json.ts'
import { Refusal, show } from '../refusal.ts'

/** Past so many networks the rules of one policy would burden the node; such a block is refused. */
const MOST_NETS = 4096

/** The networks of an ipBlock: its cidr without its excepts. Throws Refusal as the API's validation does. */
export function decodeIpBlock(block: JsonObject, place: string): Cidr[] {
  const whole = decodeNet(member(block, 'cidr'), `${place}.cidr`)
  let nets = [whole]
  listMember(block, 'except', `${place}.except`).forEach((text, at) => {
    const where = `${place}.except[${at}]`
    const except = decodeNet(text, where)
    const { family, base, length } = except
    if (length <= whole.length || !cidrContains(whole, { family, value: base }))
      throw new Refusal(where, `${show(text)} is not a part of the cidr`, 'Name a smaller network within it.')
    nets = nets.flatMap(net => subtractCidr(net, except))
    if (nets.length > MOST_NETS)
      throw new Refusal(where, `the block falls into over ${MOST_NETS} networks`, 'Name fewer excepts.')
  })
  return nets
}

/** The API wants a prefix length and masks host bits. */
function decodeNet(value: unknown, place: string): Cidr {
  const net = typeof value === 'string' && value.includes('/') ? parseCidr(value) : null
  if (net !== null) return net
  throw new Refusal(place, `${show(value)} is not a network`, 'Write ADDRESS/LENGTH.')
}
