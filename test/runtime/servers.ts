import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AgentClient } from '../../src/cli/agent-client.ts'
import { PodfenceError } from '../../src/errors.ts'
import { kernelCounters } from '../../src/kernel/counters.ts'
import type { KernelDriver } from '../../src/kernel/driver.ts'
import { type AgentAnswers, agentRoutes } from '../../src/runtime/agent-routes.ts'
import { serveAgentSocket, socketPath } from '../../src/runtime/agent-socket.ts'
import type { Enforcement } from '../../src/runtime/enforcement.ts'
import { Health } from '../../src/runtime/health.ts'
import { healthRoutes, metricsRoutes } from '../../src/runtime/health-routes.ts'
import { json, listenHttp, type Routes } from '../../src/runtime/http.ts'
import { reportState } from '../../src/runtime/kernel-metrics.ts'
import { METRICS, metricsMarkdown } from '../../src/runtime/metric-table.ts'
import { createMetrics } from '../../src/runtime/metrics.ts'
import { writeStatusFile } from '../../src/runtime/status.ts'
import { FakeClock } from './support/fake-clock.ts'
import { sampleStatus } from './support/sample-status.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }

/** A directory short enough for a socket; tap's own are not. */
function shortDirectory(t: Pick<Test, 'teardown'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'podfence-run-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

async function serve(t: Pick<Test, 'teardown'>, routes: Routes): Promise<string> {
  const listener = await listenHttp('test', LOOPBACK, routes)
  t.teardown(() => listener.close())
  return `http://127.0.0.1:${listener.address.port}`
}

t.test('probes answer 200 or 503, and name the part', async t => {
  const health = new Health(new FakeClock())
  const url = await serve(t, healthRoutes(health))
  for (const [path, status] of [
    ['/readiness', 503],
    ['/readyz', 503],
    ['/liveness', 200],
    ['/healthz', 200],
  ] as const)
    t.equal((await fetch(url + path)).status, status, path)
  for (const part of ['sync', 'apply'] as const) health.report(part, null)
  health.report('source', 'etcd is away')
  t.match(await (await fetch(`${url}/readiness`)).json(), {
    healthy: false,
    parts: [
      { name: 'sync', healthy: true },
      { name: 'apply', healthy: true },
      { name: 'source', healthy: false, reason: 'etcd is away' },
    ],
  })
  health.report('source', null)
  t.equal((await fetch(`${url}/readiness`)).status, 200)
  health.report('progress', 'stuck')
  t.equal((await fetch(`${url}/healthz`)).status, 503)
})

t.test('HTTP: unknown paths, other methods, HEAD, long bodies, throwing handlers', async t => {
  const url = await serve(t, {
    'GET /fine': () => json({ fine: true }),
    'POST /echo': body => json({ body }),
    'GET /throws': () => {
      throw new Error('broken')
    },
  })
  t.equal((await fetch(`${url}/nothing`)).status, 404)
  t.equal((await fetch(`${url}/fine`, { method: 'POST', body: 'x' })).status, 405)
  const head = await fetch(`${url}/fine`, { method: 'HEAD' })
  t.same([head.status, await head.text(), head.headers.get('content-length')], [200, '', '14'])
  t.same(await (await fetch(`${url}/echo`, { method: 'POST', body: 'ä' })).json(), { body: 'ä' })
  const long = await fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(2_000_000) })
  t.equal(long.status, 413)
  const broken = await fetch(`${url}/throws`)
  t.same([broken.status, await broken.json()], [500, { error: { message: 'broken' } }])
  t.equal((await fetch(`${url}/fine`)).status, 200, 'and the server lives on')
})

t.test('an address that is taken is a failure of the configuration', async t => {
  const first = await listenHttp('metricsAddress', LOOPBACK, {})
  t.teardown(() => first.close())
  await t.rejects(listenHttp('metricsAddress', first.address, {}), {
    code: 'CONFIG_INVALID',
    message: /metricsAddress: 127.0.0.1:\d+ is in use/,
  })
})

t.test(
  'metrics: two agents in one process, figures read at the scrape, and a catalogue for people',
  async t => {
    const counters = { ...kernelCounters(), restoreTransactions: 3, repairedHooks: 2 }
    const counts = {
      localEndpoints: 2,
      tiers: 1,
      policies: 4,
      profiles: 2,
      activeLists: 6,
      clusterEndpoints: 9,
      labelSets: 3,
      activeSets: 5,
      setMembers: 7,
      incompleteSets: 0,
    }
    const page = createMetrics()
    const held = { chains: 11, rules: 12, sets: 13, spawnPerUpdate: true }
    const driver = { counters, status: () => held } as unknown as KernelDriver
    const rejections = new Map([['/calico/v1/x', {}]])
    const enforcement = {
      engine: { counts: () => counts },
      endpoints: () => [{ closed: null }, { closed: 'inactive' }],
      intake: { tree: { rejections: () => rejections } },
    }
    const other = createMetrics()
    t.teardown(() => {
      page.close()
      other.close()
    })
    page.metrics.rejections_total.inc()
    page.metrics.int_dataplane_apply_time_seconds.observe(0.003)
    const url = await serve(t, metricsRoutes(page))
    const scrape = async () => {
      reportState(page.metrics, driver, enforcement as unknown as Enforcement)
      return (await fetch(`${url}/metrics`)).text()
    }
    await scrape()
    counters.restoreTransactions = 8
    const lines = (await scrape()).split('\n')
    for (const line of [
      'podfence_iptables_restore_calls 8',
      'podfence_drift_repairs{what="jump"} 2',
      'podfence_iptables_spawn_per_update 1',
      'podfence_ipsets 13',
      'podfence_set_members 7',
      'podfence_closed_endpoints 1',
      'podfence_cluster_num_workload_endpoints 9',
      'podfence_rejections_total 1',
      'podfence_rejections 1',
      'podfence_int_dataplane_apply_time_seconds_bucket{le="0.005"} 1',
      'podfence_int_dataplane_apply_time_seconds_bucket{le="0.002"} 0',
    ])
      t.ok(lines.includes(line), line)
    t.ok(lines.some(line => /^process_resident_memory_bytes [1-9][0-9]+$/.test(line)))
    t.ok(lines.some(line => /^podfence_event_loop_stall_max_seconds [0-9.e-]+$/.test(line)))
    t.match(await other.text(), /^podfence_rejections_total 0$/m, 'the other agent counted nothing')
    t.equal(metricsMarkdown().split('\n').length, Object.keys(METRICS).length + 2)
  },
)

const ANSWERS: AgentAnswers = {
  status: () => sampleStatus(),
  explain: ({ source }) => {
    throw new PodfenceError('USAGE', `${source} is unknown.`, { next: 'Look again.' })
  },
  render: async stage => `stage ${stage}\n`,
}

t.test('the socket: answers, failures with their code, permissions, one agent only', async t => {
  const runDir = join(shortDirectory(t), 'made')
  const socket = await serveAgentSocket(runDir, agentRoutes(ANSWERS))
  t.equal(lstatSync(socketPath(runDir)).mode & 0o777, 0o660)
  const client = new AgentClient(runDir)
  t.same(await client.status(), sampleStatus())
  t.equal(await client.render('rules & more'), 'stage rules & more\n')
  const question = { source: '10.0.0.1', destination: '10.0.0.2', protocol: 6 }
  await t.rejects(client.explain(question), {
    code: 'USAGE',
    message: '10.0.0.1 is unknown.',
    next: 'Look again.',
  })
  await t.rejects(client.explain({ ...question, protocol: 300 }), {
    code: 'USAGE',
    message: /protocol number/,
  })
  await t.rejects(client.explain({ ...question, sourcePort: 1.5 }), { code: 'USAGE', message: /sourcePort/ })
  await t.rejects(serveAgentSocket(runDir, {}), {
    code: 'CONFIG_INVALID',
    message: /Another agent is running/,
  })
  await socket.close()
  t.notOk(existsSync(socketPath(runDir)))
  await t.rejects(client.status(), { code: 'AGENT_UNREACHABLE' })
})

t.test('a socket that a dead agent left behind is replaced', async t => {
  const runDir = shortDirectory(t)
  writeFileSync(socketPath(runDir), 'no socket at all')
  const socket = await serveAgentSocket(runDir, agentRoutes(ANSWERS))
  t.equal((await new AgentClient(runDir).status()).schema, 1)
  await socket.close()
  const tooLong = join(runDir, 'x'.repeat(100))
  await t.rejects(serveAgentSocket(tooLong, {}), { code: 'CONFIG_INVALID', message: /too long/ })
})

t.test('an agent that answers rubbish, or not at all', async t => {
  const runDir = shortDirectory(t)
  const rubbish = createServer(socket => void socket.end('rubbish\r\n\r\n')).listen(socketPath(runDir))
  t.teardown(() => rubbish.close())
  await t.rejects(new AgentClient(runDir).status(), { code: 'AGENT_UNREACHABLE', message: /does not answer/ })
})

t.test('the status file is replaced whole, and nothing is left when it cannot be', async t => {
  const runDir = t.testdir({ elsewhere: 'untouched' })
  const target = join(runDir, 'status.json')
  symlinkSync(join(runDir, 'elsewhere'), target)
  await writeStatusFile(runDir, sampleStatus())
  t.equal(readFileSync(join(runDir, 'elsewhere'), 'utf8'), 'untouched', "nobody's link is followed")
  t.same(JSON.parse(readFileSync(target, 'utf8')), sampleStatus())
  t.same(readdirSync(runDir).sort(), ['elsewhere', 'status.json'])
  const blocked = t.testdir({ full: {} })
  mkdirSync(join(blocked, 'full', 'status.json'))
  await t.rejects(writeStatusFile(join(blocked, 'full'), sampleStatus()))
  t.same(readdirSync(join(blocked, 'full')), ['status.json'], 'no draft stays')
})
