import { execFileSync } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { localAddresses4, localAddresses6, nodeAddresses } from '../../src/runtime/node-addresses.ts'

const inside = await enterSandbox()

const TRIE = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.244.1.0/24 2 0 2
        |-- 10.244.1.0
           /24 link UNICAST
        |-- 10.244.1.1
           /32 link UNICAST
           /32 host LOCAL
        |-- 10.244.1.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
`
const SIX = `fd000010024400010000000000000001 04 40 00 82     cbr0
00000000000000000000000000000001 01 80 10 80       lo
no address
`

t.test("the kernel's lists", async t => {
  t.same(localAddresses4(TRIE), ['10.244.1.1', '127.0.0.1'])
  t.same(localAddresses6(SIX), ['fd00:10:244:1::1', '::1'])
  t.same([...localAddresses4(''), ...localAddresses6('')], [])
})

t.test('a bridge that has lost its last port keeps its addresses', { skip: inside.skip }, async t => {
  const sh = (commands: string) => execFileSync('sh', ['-ec', commands])
  sh(`ip link add cbr0 type bridge; ip link set cbr0 up
     ip address add 10.244.1.1/24 dev cbr0; ip -6 address add fd00:10:244:1::1/64 dev cbr0 nodad
     ip link add pod0 type veth peer name pod1; ip link set pod1 up; ip link set pod0 master cbr0 up`)
  await until(() => sh('ip -br link show cbr0').includes('LOWER_UP'))
  sh('ip link delete pod0')
  await until(() => networkInterfaces().cbr0 === undefined)
  const own = nodeAddresses()
  t.ok(own.has('10.244.1.1'))
  t.ok(own.has('fd00:10:244:1::1'))
  t.notOk(own.has('10.244.1.255'))
})

/** Throws when that does not come about: the kernel tells of carriers once a second. */
async function until(there: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!there()) {
    if (Date.now() > deadline) throw new Error('it does not come about')
    await pause(20)
  }
}
