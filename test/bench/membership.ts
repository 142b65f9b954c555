import { clusterKey, clusterValue } from './bench-world.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { kernelPicture } from './kernel-copy.ts'
import { besideFloor, median } from './samples.ts'
import type { Side } from './side.ts'

const N = 300
const REST_MS = 10
/** The endpoint that joins and leaves, and the selector's number. */
const POD = 7
const APP = 7

interface Player {
  readonly side: Side
  readonly ours: number[]
  readonly bare: number[]
}

/** B2: an endpoint elsewhere joins and leaves a selector that local policy uses, at W0 and W1 in turn. */
export const membership: Bench = async (ground, say) => {
  const players: Player[] = []
  for (const side of [await ground.w0(), await ground.w1()]) {
    await side.agent()
    const floor = await side.floor()
    const address = /10\.\d+\.\d+\.\d+/.exec(clusterValue(POD, APP))![0]
    const { sets } = await kernelPicture(side.node)
    const set = new RegExp(`^add (\\S+) ${address}$`, 'm').exec(sets)?.[1]
    if (set === undefined) throw new Error(`no set has ${address} at first`)
    await floor.learn('join', { ipset: `add ${set} ${address}\n` })
    await floor.learn('leave', { ipset: `del ${set} ${address}\n` })
    players.push({ side, ours: [], bare: [] })
  }
  say('B2 membership changes at W0 and W1 in turn')
  for (let turn = 0; turn < N; turn++) {
    const joins = turn % 2 === 1
    for (const { side, ours, bare } of players) {
      const value = clusterValue(POD, joins ? APP : null)
      ours.push(await side.time([{ key: clusterKey(POD), value }]))
      await rest(REST_MS)
      bare.push(await (await side.floor()).time(joins ? 'join' : 'leave'))
      await rest(REST_MS)
    }
  }
  const slope = median(players[1]!.ours) / median(players[0]!.ours)
  return players.map(({ side, ours, bare }): Figure => {
    const numbers = besideFloor(ours, bare)
    const large = side.world.name === 'W1'
    return {
      bench: 'B2',
      what: 'membership change, put to enforced',
      world: side.world.name,
      backend: ground.backend,
      n: N,
      numbers: large ? { ...numbers, w1_to_w0: slope } : numbers,
      targets: [
        atMost(numbers.p50_ms, 3, 'p50 <= 3 ms'),
        ...(large ? [atMost(slope, 1.2, 'W1 within 1.2x of W0')] : []),
      ],
    }
  })
}
