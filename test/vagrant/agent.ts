// Runs alone: the machines are shared with the other files.
import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { PATIENCE_MS } from '../systemd/support/host.ts'
import { until } from '../until.ts'
import { Nodes, skip } from './support/nodes.ts'

/** Another build of the package that is installed: `vagrant/test` is given it. */
const { PODFENCE_NEXT_PACKAGE: next } = process.env

t.test('the agent and its store come and go', { skip }, async t => {
  const nodes = await Nodes.open(t)
  const { node1, etcd } = nodes
  const pid = () => node1.property('podfence-agent', 'MainPID')

  await t.test('a stopped agent leaves its rules', t =>
    nodes.underFlows(t, async () => {
      await node1.run('systemctl stop podfence-agent')
      await pause(3_000)
      await nodes.enforcing(node1)
    }),
  )

  for (const [signal, how] of [
    ['KILL', 'is killed'],
    ['STOP', 'stands still, by the watchdog'],
  ])
    await t.test(`it comes back when it ${how}`, t =>
      nodes.underFlows(t, async () => {
        const before = await pid()
        await node1.run(`kill -${signal} ${before}`)
        await until('another agent', async () => !['0', before].includes(await pid()), 120_000)
        await nodes.enforcing(node1)
      }),
    )

  await t.test(
    'an upgrade',
    { skip: next === undefined ? 'needs PODFENCE_NEXT_PACKAGE' : false },
    async t => {
      await node1.copy(next!, '/tmp/')
      const before = await pid()
      await nodes.underFlows(t, async () => {
        await node1.run(`dpkg -i /tmp/${basename(next!)}`, 300_000)
        t.not(await pid(), before, 'it was started anew')
        await nodes.enforcing(node1)
      })
    },
  )

  await t.test('etcd is lost and comes back', async t => {
    await nodes.underFlows(t, async () => {
      await etcd.run('systemctl stop etcd')
      await until(
        'the agent notices',
        async () =>
          /^enforcing \d+ workload endpoints; etcd .* is away: /.test(
            await node1.property('podfence-agent', 'StatusText'),
          ),
        PATIENCE_MS,
      )
      await pause(3_000)
    })
    await nodes.underFlows(t, async () => {
      await etcd.run('systemctl start etcd')
      await nodes.apply(nodes.pods)
    })
  })
})
