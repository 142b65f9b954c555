import t from 'tap'
import { parseRoutes4, parseRoutes6, readRoutes, strayAddresses } from '../../src/runtime/route-devices.ts'
import { endpoint } from '../render/fixtures/worlds.ts'

const FOUR = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
cbr0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
cali1\t0701F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
*\t0002F40A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
`
const SIX = `fd000010024400010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     cbr0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`

const isGate = (device: string) => device === 'cbr0' || device.startsWith('cali')
const routes = [...parseRoutes4(FOUR), ...parseRoutes6(SIX)]

function strays(addresses4: string[], addresses6: string[] = [], name: string | null = null): string[] {
  const one = endpoint('n1/k8s/default.web/eth0', { interface: name, addresses4, addresses6 })
  return strayAddresses([one], routes, isGate)
}

t.test('the longest route says behind which device an address lies', async t => {
  t.same(strays(['10.244.1.7', '10.244.1.8'], ['fd00:10:244:1::8']), [])
  t.match(strays(['10.244.9.1']), [/10\.244\.9\.1 is routed to eth0/])
  t.match(strays([], ['fd00:99::1']), [/fd00:99::1 is routed to eth0/])
})

t.test('a route that refuses is none, and an endpoint with an interface is not looked at', async t => {
  t.match(strays(['10.244.2.1']), [/routed to eth0/])
  t.same(strays(['10.244.9.1'], [], 'cali9'), [])
  t.same(strayAddresses([endpoint('a', { interface: null, addresses4: ['10.0.0.1'] })], [], isGate), [])
})

t.test("this host's own routes are read", async t => {
  const own = await readRoutes()
  t.ok(
    own.every(({ net, device }) => device !== '' && net.length <= (net.family === 4 ? 32 : 128)),
    'every one of them is whole',
  )
})
