import { execFile } from 'node:child_process'
import { lstatSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { runPlugin } from '../../src/cni/plugin.ts'
import { CniFailure } from '../../src/runtime/cni/failure.ts'
import { build } from '../cli/support/cli.ts'
import { call, RESULT, VARIABLES } from './support/call.ts'
import { startFakeAgent } from './support/fake-agent.ts'

const { mac } = RESULT.interfaces[1]!
const ADDRESSES = ['10.1.0.5', 'fd01::5']
const ATTACHED = { interface: 'lo', mac, addresses: ADDRESSES, sandbox: 'c1', uid: 'u1' }
const WANTED = {
  id: 'node1/k8s/default.web/eth0',
  attachment: { interface: 'lo', mac, addresses: ADDRESSES },
}
const NOBODY = { socket: '/nowhere/cni.sock' }

/** A server that takes connections and never says a word, as a frozen agent's socket does. */
async function startSilent(t: Test): Promise<string> {
  const socket = `/tmp/podfence-silent-${process.pid}.sock`
  const server = createServer(() => {}).listen(socket)
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  return socket
}

t.test('VERSION needs no agent and no configuration', async t => {
  for (const stdin of ['', '{"cniVersion":"0.4.0"}']) {
    const { stdout, exitCode } = await runPlugin({ CNI_COMMAND: 'VERSION' }, stdin, t.fail)
    t.equal(exitCode, 0)
    t.same(JSON.parse(stdout), {
      cniVersion: stdin === '' ? '1.1.0' : '0.4.0',
      supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    })
  }
})

t.test('ADD tells the agent, waits, and passes the result on unchanged', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  t.equal(lstatSync(socket).mode & 0o777, 0o600, "the socket is its owner's alone")
  const { exitCode, printed, noted } = await call('ADD', { socket, log_level: 'info' })
  t.same([exitCode, printed], [0, RESULT])
  t.match(noted, /^podfence-cni info: ADD c1: done in \d+ ms\n$/)
  t.same(agent.told, [['default/web', ATTACHED]])
  const [wanted, within] = agent.asked[0]!
  t.same(wanted, WANTED)
  t.ok(within > 15_000 && within < 20_000, `the agent may take most of the time: ${within}`)
  t.equal((await call('ADD', { socket })).noted, '', 'and nothing is noted by default')
  for (const cniVersion of ['0.3.0', '0.3.1', '0.4.0', '1.0.0'])
    t.match(
      await call('ADD', { socket, cniVersion, prevResult: { ...RESULT, cniVersion } }),
      { exitCode: 0, printed: { ...RESULT, cniVersion } },
      cniVersion,
    )
})

t.test('ADD fails as the agent says, or without one', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  agent.enforced = async () => {
    throw new CniFailure('TRY_AGAIN', 'not enforced after 19.5 s', 'look')
  }
  t.same(await call('ADD', { socket, cniVersion: '1.0.0' }), {
    exitCode: 1,
    printed: { cniVersion: '1.0.0', code: 11, msg: 'not enforced after 19.5 s', details: 'look' },
    noted: '',
  })
  agent.enforced = async () => {
    throw new Error('a bug')
  }
  t.match(await call('ADD', { socket }), { exitCode: 1, printed: { code: 999, msg: /500/ } })
  t.match(await call('ADD', NOBODY), { exitCode: 1, printed: { code: 11, msg: /No agent answers/ } })
  await agent.stop()
  t.match(await call('ADD', { socket }), { exitCode: 1, printed: { code: 11, msg: /No agent answers/ } })
})

t.test('a frozen agent: the bound passes', async t => {
  const socket = await startSilent(t)
  const given = { socket, timeout: '100ms' }
  for (const command of ['ADD', 'CHECK'])
    t.match(await call(command, given), { exitCode: 1, printed: { code: 11, msg: /did not answer in time/ } })
  t.match(await call('STATUS', given), { exitCode: 1, printed: { code: 50 } })
  t.same((await call('DEL', given)).exitCode, 0)
})

t.test('what cannot fit is refused before anything is told', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  const refused = async (code: number, msg: RegExp, given: object, variables = {}) =>
    t.match(await call('ADD', { socket, ...given }, variables), { exitCode: 1, printed: { code, msg } })
  await refused(1, /cniVersion "0.2.0"/, { cniVersion: '0.2.0' })
  await refused(4, /CNI_NETNS/, {}, { CNI_NETNS: '' })
  await refused(7, /chained after a main plugin/, { prevResult: undefined })
  await refused(7, /hostname is elsewhere/, { hostname: 'elsewhere' })
  agent.annotationPolicy = false
  await refused(7, /annotationPolicy is off/, { policy: { type: 'k8s-annotations' } })
  t.same(agent.told, [])
  const { printed } = await call('ADD', { socket, hostname: 'node1' })
  t.same(printed, RESULT, 'the right name, and no word of annotations')
  const { stdout, exitCode } = await runPlugin({ ...VARIABLES, CNI_COMMAND: 'ADD' }, '{', t.fail)
  t.match([JSON.parse(stdout), exitCode], [{ cniVersion: '1.1.0', code: 6 }, 1])

  t.test('by an agent with files', async t => {
    const { socket } = await startFakeAgent(t, 'files')
    t.match(await call('ADD', { socket }), { exitCode: 1, printed: { code: 7, msg: /source is files/ } })
    t.match(await call('STATUS', { socket }), { exitCode: 1, printed: { code: 50 } })
    t.equal((await call('DEL', { socket })).exitCode, 0)
  })
  t.test('by an agent with etcd, where no etcd is named', async t => {
    const { socket } = await startFakeAgent(t, 'etcd')
    t.match(await call('ADD', { socket }), { exitCode: 1, printed: { code: 7, msg: /etcd_authority/ } })
    t.match(await call('CHECK', { socket }), { exitCode: 1, printed: { code: 7, msg: /etcd_authority/ } })
    t.equal((await call('DEL', { socket })).exitCode, 0)
  })
})

t.test('CHECK', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  t.match(await call('CHECK', { socket }), { exitCode: 1, printed: { code: 3 } }, 'never added')
  await call('ADD', { socket })
  t.same(await call('CHECK', { socket }), { exitCode: 0, printed: null, noted: '' })
  t.same(agent.asked.at(-1)?.[0], WANTED)
  t.match(await call('CHECK', { socket }, { CNI_CONTAINERID: 'c2' }), { exitCode: 1, printed: { code: 3 } })
  t.match(await call('CHECK', { socket, cniVersion: '0.3.1' }), { exitCode: 1, printed: { code: 1 } })
  await call('DEL', { socket })
  t.match(await call('CHECK', { socket }), { exitCode: 1, printed: { code: 3 } })
})

t.test('DEL never fails over what is gone, and a late one of an old sandbox changes nothing', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  const done = { exitCode: 0, printed: null, noted: '' }
  t.same(await call('DEL', { socket }), done, 'never added')
  await call('ADD', { socket })
  await call('ADD', { socket }, { CNI_CONTAINERID: 'c2' })
  t.same(await call('DEL', { socket }), done)
  t.equal(agent.book.of('default/web')?.detached, false)
  t.same(await call('DEL', { socket, prevResult: undefined }, { CNI_CONTAINERID: 'c2', CNI_NETNS: '' }), done)
  t.same(agent.told.at(-1)?.[1]?.addresses, [])
  t.same(await call('DEL', NOBODY), done, 'no agent')
  t.match(await call('DEL', { socket }, { CNI_CONTAINERID: '' }), { exitCode: 1, printed: { code: 4 } })
})

t.test("a further network of a pod is refused, and its end is not the pod's", async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  await call('ADD', { socket })
  const further = { CNI_IFNAME: 'net1' }
  for (const command of ['ADD', 'CHECK'])
    t.match(await call(command, { socket }, further), { exitCode: 1, printed: { code: 100, msg: /net1/ } })
  t.equal((await call('DEL', { socket }, further)).exitCode, 0)
  t.equal(agent.book.of('default/web')?.detached, false)
})

t.test('GC and STATUS', async t => {
  const agent = await startFakeAgent(t, 'kubernetes')
  const { socket } = agent
  await call('ADD', { socket })
  const collect = (valid: unknown, name = 'pods') =>
    call('GC', { socket, name, 'cni.dev/valid-attachments': valid })
  t.equal((await collect([{ containerID: 'c1', ifname: 'eth0' }])).exitCode, 0)
  t.equal((await collect([], 'others')).exitCode, 0)
  t.equal(agent.book.of('default/web')?.detached, false)
  t.match(await collect(undefined), { exitCode: 1, printed: { code: 7 } })
  t.equal((await collect([])).exitCode, 0)
  t.equal(agent.book.of('default/web')?.detached, true)
  t.match(await call('GC', { ...NOBODY, 'cni.dev/valid-attachments': [] }), {
    exitCode: 1,
    printed: { code: 11 },
  })

  t.same(await call('STATUS', { socket }), { exitCode: 0, printed: null, noted: '' })
  agent.health = { waitingFor: 'no complete list yet', failure: null }
  t.match(await call('STATUS', { socket }), {
    exitCode: 1,
    printed: { code: 50, msg: /no complete list yet/ },
  })
  agent.health = { waitingFor: null, failure: 'the lock' }
  t.match(await call('STATUS', { socket }), { exitCode: 1, printed: { code: 51, msg: /the lock/ } })
  t.match(await call('STATUS', NOBODY), { exitCode: 1, printed: { code: 50 } })
  for (const command of ['GC', 'STATUS'])
    t.match(await call(command, { socket, cniVersion: '1.0.0' }), { exitCode: 1, printed: { code: 1 } })
})

t.test('the agent refuses what no plugin of ours would say', async t => {
  const { socket } = await startFakeAgent(t, 'kubernetes')
  const result = (more: object) => ({ ...RESULT, ...more })
  const odd = [
    { ips: [{ address: '10.1.0.500/24' }] },
    { interfaces: [RESULT.interfaces[0], { ...RESULT.interfaces[1], mac: 'aa' }] },
  ]
  for (const more of odd)
    t.match(await call('ADD', { socket, prevResult: result(more) }), { exitCode: 1, printed: { code: 7 } })
})

t.test('the program: answers on stdout, and its exit code', async t => {
  build()
  const main = new URL('../../dist/cni/main.js', import.meta.url).pathname
  const run = (env: Record<string, string>, stdin: string) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve => {
      const child = execFile(main, [], { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stdout, stderr }),
      )
      child.stdin!.end(stdin)
    })
  const version = await run({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"1.0.0"}')
  t.match(version, { code: 0, stderr: '' })
  t.match(JSON.parse(version.stdout), { cniVersion: '1.0.0' })
  const status = await run(
    { CNI_COMMAND: 'STATUS' },
    JSON.stringify({ cniVersion: '1.1.0', name: 'n', ...NOBODY }),
  )
  t.equal(status.code, 1)
  t.match(JSON.parse(status.stdout), { cniVersion: '1.1.0', code: 50 })
  const bare = await run({}, '')
  t.equal(bare.code, 1)
  t.match(JSON.parse(bare.stdout), { code: 4, msg: /CNI_COMMAND is not set/ })
})
