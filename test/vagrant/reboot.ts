// Runs alone: the machines are shared with the other files.
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { PATIENCE_MS } from '../systemd/support/host.ts'
import { until } from '../until.ts'
import { Nodes, skip } from './support/nodes.ts'

t.test('a node is rebooted while others send to it', { skip }, async t => {
  const nodes = await Nodes.open(t)
  const { etcd, node1, node2 } = nodes
  await t.test('the store is not there at first: all is closed, until it is', async t => {
    await nodes.flowing()
    await etcd.run('systemctl stop etcd')
    await node1.reboot()
    t.equal(await node1.booted(), 'running', 'the boot waits for no store')
    await until('its pods', async () => (await nodes.counts())['default.batch'] !== undefined, PATIENCE_MS)
    t.match(
      await node1.property('podfence-agent', 'StatusText'),
      /^waiting for etcd http:\/\/192\.168\.56\.10:2379: /,
    )
    await pause(5_000)
    t.same((await nodes.counts())['default.batch']!.heard, {}, 'nothing at all has come through the gate')
    await etcd.run('systemctl start etcd')
    await nodes.enforcing(node1)
    await nodes.flowing()
    await nodes.nothingDenied(t)
  })

  await t.test('the store is there', async t => {
    const away = await node2.reboot()
    await nodes.flowing()
    await nodes.nothingDenied(t)
    const { first } = (await nodes.counts())['default.redis']!.heard['default.frontend']!
    t.comment(`the node answered ${(away / 1000).toFixed(1)} s after the command`)
    t.comment(`from the start of its kernel to the first allowed packet: ${first} s`)
    t.equal(await node2.booted(), 'running')
  })

  await t.test('all is as before', t => nodes.matrix(t))
})
