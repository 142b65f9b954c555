import type { Cidr } from '../../model/cidr.ts'
import type { SetStore } from './set-store.ts'

/** Which interface the node would use to reach a network. */
export interface Route {
  readonly net: Cidr
  readonly interface: string
}

/** What a rule may ask beside the packet. */
export interface World {
  readonly sets: SetStore
  readonly routes: readonly Route[]
  /** The node's own addresses, canonical. */
  readonly local: ReadonlySet<string>
}
