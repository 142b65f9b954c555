import { moment } from '../../src/lab/probe.ts'
import { atMost } from './figure.ts'
import { type Bench, podChange, rest } from './ground.ts'
import { kernelPicture, restoreBetween } from './kernel-copy.ts'
import { besideFloor, median } from './samples.ts'

const PORT = 7001
const RATE = 1000

/** B3: a pod that has its interface already becomes an endpoint; a client sends to it all the time, 1 000 packets a second. */
export const endpointAdded: Bench = async (ground, say) => {
  const side = await ground.w1()
  await side.agent()
  const { probe } = ground.lab
  const [client, , , first, ...others] = ground.pods
  say('B3 local endpoints added at W1')
  const before = await kernelPicture(side.node)
  await side.time([podChange(first!, 'open')])
  const after = await kernelPicture(side.node)
  await side.time([{ ...podChange(first!, 'open'), value: null }])
  const floor = await side.floor()
  await floor.learn('add', restoreBetween(before, after))
  await floor.learn('remove', restoreBetween(after, before))

  const [passes, enforced, bare]: number[][] = [[], [], []]
  let early = 0
  for (const pod of others) {
    await probe.listen(pod, { protocol: 'udp', port: PORT })
    const flow = await probe.flow(client!, {
      ...{ protocol: 'udp', address: pod.address4!, port: PORT, rate: RATE },
      ...{ direction: 'up', unanswered: true },
    })
    await rest(60)
    early += (await flow.read()).up.receivedInAll
    const put = moment()
    enforced!.push(await side.time([podChange(pod, 'open')]))
    await rest(30)
    await flow.direct('none')
    await rest(20)
    const all = (await flow.read()).up.receivedInAll
    if (all === 0) throw new Error(`nothing reaches ${pod.name} after it was enforced`)
    // The moment of the first arrival: the latest since which all have arrived.
    let [low, high] = [put, moment()]
    while (high - low > 0.1) {
      const middle = (low + high) / 2
      if ((await flow.read(middle)).up.received === all) low = middle
      else high = middle
    }
    passes!.push(low - put)
    await flow.stop()
    bare!.push(await floor.time('add'))
    await rest(40)
    await floor.time('remove')
  }
  // Away again, so that the world is as it was.
  await side.time(others.map(pod => ({ ...podChange(pod, 'open'), value: null })))
  const numbers = {
    ...besideFloor(passes!, bare!),
    acknowledged_p50_ms: median(enforced!),
    passed_before: early,
  }
  return [
    {
      bench: 'B3',
      what: 'local endpoint added, put to first packet',
      world: 'W1',
      backend: ground.backend,
      n: others.length,
      numbers,
      targets: [atMost(numbers.p50_ms, 20, 'p50 20 ms'), atMost(early, 0, 'nothing passes before')],
    },
  ]
}
