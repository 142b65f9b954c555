import { type Address, type Cidr, cidrContains, parseAddress } from '../model/cidr.ts'
import type { Packet } from './outcome.ts'
import type { Side } from './rule-part.ts'

/** A packet whose addresses are parsed once, and only when a rule asks for a network. */
export class Probe {
  readonly packet: Packet
  #source: Address | null | undefined
  #destination: Address | null | undefined

  constructor(packet: Packet) {
    this.packet = packet
  }

  address(side: Side): string {
    return side === 'src' ? this.packet.source : this.packet.destination
  }

  port(side: Side): number | undefined {
    return side === 'src' ? this.packet.sourcePort : this.packet.destinationPort
  }

  isIn(net: Cidr, side: Side): boolean {
    let address: Address | null
    if (side === 'src') address = this.#source ??= parseAddress(this.packet.source)
    else address = this.#destination ??= parseAddress(this.packet.destination)
    return address !== null && cidrContains(net, address)
  }
}
