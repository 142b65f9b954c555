import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { fileReady, httpReady, socketReady, startAgent } from '../../src/lab/agent-process.ts'
import { openLab } from '../../src/lab/lab.ts'
import { probeMatrix } from '../../src/lab/matrix.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import type { Family } from '../../src/model/values.ts'
import {
  address,
  FAMILIES,
  matrix,
  podOf,
  populated,
  processes,
  serve,
  until,
} from './support/populated-lab.ts'

const { skip } = await enterSandbox()

t.test('every pod reaches every pod when there are no rules', { skip }, async t => {
  const lab = await populated(t, 'nft')
  for (const family of FAMILIES)
    for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
      const result = await matrix(lab, family, protocol, () => true)
      t.equal(result.allowed, 36, `IPv${family} ${protocol}\n${result.text}`)
    }
  t.ok(lab.pods.every(pod => pod.interface.length <= 15))
})

t.test('hosts, faults and moves', { skip }, async t => {
  const lab = await populated(t, 'nft')
  const { probe, external } = lab
  const [r1, r2, b1, r3] = ['r1', 'r2', 'b1', 'r3'].map(name => podOf(lab, name)) as LabPod[]
  const [node1, node2] = lab.nodes
  await probe.listen(external, { protocol: 'tcp', port: 80 })
  await probe.listen(node1!, { protocol: 'tcp', port: 80 })
  await probe.listen({ namespace: '.' }, { protocol: 'tcp', port: 2379 })

  await t.test('nodes, the external host and the store', async t => {
    for (const family of FAMILIES) {
      const of = (place: { address4: string | null; address6: string | null }) =>
        (family === 4 ? place.address4 : place.address6)!
      for (const pod of [r1!, b1!, r3!]) {
        t.match(await probe.tcp(external, { address: of(pod), port: 80 }), {
          outcome: 'open',
          peer: of(external),
        })
        t.match(await probe.tcp(pod, { address: of(external), port: 80 }), { outcome: 'open', peer: of(pod) })
        t.match(await probe.tcp(node1!, { address: of(pod), port: 80 }), { outcome: 'open' })
        t.match(await probe.tcp(pod, { address: of(node1!), port: 80 }), { outcome: 'open', peer: of(pod) })
      }
      const store = { address: family === 4 ? lab.storeAddress4 : lab.storeAddress6, port: 2379 }
      t.match(await probe.tcp(node2!, store), { outcome: 'open', peer: of(node2!) })
    }
  })

  await t.test('a link that goes down and comes back', async t => {
    await node1!.link(false)
    t.not((await probe.tcp(r1!, { address: r3!.address4!, port: 80 })).outcome, 'open')
    t.equal(
      (await probe.tcp(r1!, { address: r2!.address4!, port: 80 })).outcome,
      'open',
      'inside the node all is well',
    )
    await node1!.link(true)
    for (const family of FAMILIES)
      t.ok(
        await until(
          async () => (await probe.tcp(r1!, { address: address(r3!, family), port: 80 })).outcome === 'open',
        ),
      )
  })

  await t.test('a store that falls silent for one node', async t => {
    const [store4, store6] = [lab.storeAddress4, lab.storeAddress6].map(address => ({ address, port: 2379 }))
    await node1!.cutFromStore(true)
    t.equal((await probe.tcp(node1!, store4!)).outcome, 'timeout')
    t.equal((await probe.tcp(node1!, store6!)).outcome, 'timeout')
    t.equal((await probe.tcp(node2!, store4!)).outcome, 'open')
    t.equal((await probe.tcp(r1!, { address: r3!.address4!, port: 80 })).outcome, 'open')
    await node1!.cutFromStore(false)
    t.equal((await probe.tcp(node1!, store4!)).outcome, 'open')
    t.equal((await probe.tcp(node1!, store6!)).outcome, 'open')
  })

  const netem = await node1!.delay(40)
  await t.test('a delay', { skip: netem ? false : 'needs tc and the kernel’s netem' }, async t => {
    const slow = await probe.ping(node1!, { address: node2!.address4, timeoutMs: 2000 })
    t.ok(slow.ms >= 40)
    await node1!.delay(0)
  })

  await t.test('an address that moves to the other node', async t => {
    const { address4, address6 } = r2!
    await lab.removePods([r2!])
    t.not((await probe.tcp(r3!, { address: address4!, port: 80 })).outcome, 'open')
    const [moved] = await lab.addPods([{ name: 'r2', node: node2!, kind: 'routed', address4, address6 }])
    await serve(lab, moved!)
    for (const family of FAMILIES) {
      const target = { address: address(moved!, family), port: 80 }
      for (const from of [r1!, b1!, r3!, external, node1!, node2!])
        t.equal((await probe.tcp(from, target)).outcome, 'open', `from ${from.namespace}`)
      t.match(await probe.tcp(moved!, { address: address(r1!, family), port: 80 }), { peer: target.address })
    }
    await lab.removePods([moved!])
    const routes = (await node1!.run(['ip', 'route'])).stdout
    t.notMatch(routes, address4!, 'its routes went with it')
    t.notMatch((await node2!.run(['ls', '/sys/class/net'])).stdout, moved!.interface)
  })

  const matrixOf = (pods: LabPod[], family: Family) =>
    probeMatrix(probe, {
      rows: pods.slice(0, 1),
      columns: pods,
      family,
      protocol: 'tcp',
      port: 80,
      expected: () => true,
    })
  await t.test('pods of one family, and names that are used again', async t => {
    const [four, six] = await lab.addPods([
      { name: 'four', node: node1!, kind: 'bridge', address6: null },
      { name: 'six', node: node1!, kind: 'routed', address4: null },
    ])
    await serve(lab, four!)
    await serve(lab, six!)
    t.equal((await probe.tcp(r1!, { address: four!.address4!, port: 80 })).outcome, 'open')
    t.equal((await probe.tcp(r1!, { address: six!.address6!, port: 80 })).outcome, 'open')
    t.match(await matrixOf([four!, six!], 4), { allowed: 1 }, 'what has no address is not asked')
    await lab.removePods([four!, six!])
  })
})

t.test('programs on a node', { skip }, async t => {
  const lab = await openLab({ nodes: ['node1', 'node2'], backend: 'nft' }, processes)
  t.teardown(() => lab.close())
  const [node1, node2] = lab.nodes
  const socket = `${node1!.runDirectory}/agent.sock`
  const file = `${node1!.stateDirectory}/status`
  const program = `
    const http = require('node:http')
    require('node:fs').rmSync(process.argv[1], { force: true })
    const answer = (req, res) => { res.statusCode = req.url === '/ready' ? 200 : 503; res.end('ok') }
    http.createServer(answer).listen(9091, '127.0.0.1')
    http.createServer(answer).listen(process.argv[1], () => {
      require('node:fs').writeFileSync(process.argv[2], 'in sync')
      console.log('lock', process.env.XTABLES_LOCKFILE, require('node:fs').readdirSync('/sys/class/net').join())
    })
    process.on('SIGTERM', () => { console.error('asked to end'); process.exit(3) })`
  const start = () =>
    startAgent(processes, { node: node1!, command: [process.execPath, '-e', program, socket, file] })

  const agent = start()
  await agent.waitUntil(fileReady(file, text => text === 'in sync'))
  await agent.waitUntil(socketReady(socket, '/ready'))
  await agent.waitUntil(httpReady(lab.probe, node1!, '127.0.0.1', 9091, '/ready'))
  t.equal(await httpReady(lab.probe, node1!, '127.0.0.1', 9091, '/other')(), false)
  t.equal(await socketReady(socket, '/other')(), false)
  t.equal(await httpReady(lab.probe, node2!, '127.0.0.1', 9091, '/ready')(), false, 'it is on its node alone')
  t.match(
    agent.log(),
    `lock ${node1!.env.XTABLES_LOCKFILE} cbr0,eth0,lo`,
    'environment and /sys are the node’s',
  )
  t.match(
    readFileSync(`/proc/${agent.pid}/cmdline`, 'utf8'),
    process.execPath,
    'the pid is the program’s own',
  )
  t.match(await agent.stop(), { code: 3 })
  t.match(agent.log(), 'asked to end')

  const second = start()
  await second.waitUntil(socketReady(socket, '/ready'))
  t.match(await second.kill(), { signal: 'SIGKILL' })
  const failing = startAgent(processes, {
    node: node1!,
    name: 'bad',
    command: ['sh', '-c', 'echo no good; exit 9'],
  })
  await t.rejects(
    failing.waitUntil(async () => false),
    /ended before it was ready:\nno good/,
  )
  await lab.close()
})

t.test('a closed laboratory has left nothing, and another can be opened', { skip }, async t => {
  const lab = await populated({ teardown: () => {} }, 'legacy')
  const called: number[] = []
  for (const turn of [1, 2])
    lab.onClose(async () => {
      called.push(turn)
    })
  await lab.close()
  t.same(called, [2, 1])
  t.same(readdirSync('/run/netns'), [])
  const links = (await processes.run('ip', ['-o', 'link'])).stdout
  t.equal(links.trim().split('\n').length, 1, `only the loopback is left\n${links}`)
  const others = readdirSync('/proc').filter(name => /^[0-9]+$/.test(name))
  const commands = others.map(pid => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    } catch {
      return ''
    }
  })
  t.equal(commands.filter(text => text.includes('main_loop();')).length, 0, 'the probe has ended')
  await t.rejects(lab.probe.ping(lab.external, { address: '10.90.0.1' }), /has ended/)
})

t.test('nodes with addresses of their own, and an external host that is many', { skip }, async t => {
  const own = {
    ...{ address4: '10.240.0.1', address6: 'fd00:10:240::1' },
    ...{ gateway4: '10.244.1.1', bridge4: '10.244.1.0/24' },
    ...{ gateway6: 'fd00:10:244:1::1', bridge6: 'fd00:10:244:1::/64' },
  }
  const plain = { address4: '10.240.0.2', address6: 'fd00:10:240::2' }
  const lab = await openLab(
    {
      nodes: [
        { name: 'n1', addresses: own },
        { name: 'n2', addresses: plain },
      ],
      backend: 'nft',
    },
    processes,
  )
  t.teardown(() => lab.close())
  const { probe, external } = lab
  const [n1, n2] = lab.nodes
  t.match(n1!, own)
  const addresses = { address4: '10.244.1.7', address6: 'fd00:10:244:1::7' }
  const [pod, other] = await lab.addPods([
    { name: 'pod', node: n1!, kind: 'bridge', ...addresses },
    { name: 'other', node: n2!, kind: 'routed' },
  ])
  t.match(pod!, addresses)
  await serve(lab, pod!)
  const strangers = { 4: '203.0.113.9', 6: '2001:db8::9' } as const
  await external.adopt(Object.values(strangers))
  for (const family of FAMILIES) {
    const target = { address: address(pod!, family), port: 80 }
    t.match(await probe.tcp(n1!, target), { outcome: 'open' })
    t.match(await probe.tcp(n2!, target), { outcome: 'open' })
    t.match(await probe.tcp(other!, target), { outcome: 'open', peer: address(other!, family) })
    const sourceAddress = strangers[family]
    t.match(await probe.tcp(external, { ...target, sourceAddress }), { outcome: 'open', peer: sourceAddress })
    await probe.listen(n1!, {
      protocol: 'tcp',
      port: 81,
      address: family === 4 ? own.address4 : own.address6,
    })
    const node = { address: family === 4 ? own.address4 : own.address6, port: 81 }
    t.match(await probe.tcp(pod!, node), { outcome: 'open', peer: target.address })
  }
})
