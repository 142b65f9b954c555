import t from 'tap'
import { systemProcesses } from '../../src/kernel/process.ts'
import { openLab } from '../../src/lab/lab.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { clusterMissing, startCluster } from './support/cluster.ts'

/** Asks with what a service account has, and prints the answer's status. */
const ASKS = `
  const [url, folder] = process.argv.slice(1)
  const { readFileSync } = require('node:fs')
  const headers = { authorization: 'Bearer ' + readFileSync(folder + '/token', 'utf8') }
  const ca = readFileSync(folder + '/ca.crt')
  require('node:https').get(url + '/api/v1/pods', { headers, ca }, answer => {
    process.stdout.write(String(answer.statusCode))
    process.exit()
  })`

const { skip } = clusterMissing ? { skip: clusterMissing } : await enterSandbox()

t.test('a cluster in a sandbox is reached from its nodes', { skip }, async t => {
  const processes = systemProcesses()
  const lab = await openLab({ nodes: ['n1'], backend: 'nft' }, processes)
  t.teardown(async () => {
    await lab.close()
    processes.stopAll()
  })
  const cluster = await startCluster(t, { address: lab.storeAddress4 })
  await cluster.applyFile(new URL('../../src/deploy/rbac-agent.yaml', import.meta.url))
  const { folder } = await cluster.serviceAccount('podfence/podfence-agent')
  const { stdout } = await lab.node('n1').run([process.execPath, '-e', ASKS, cluster.url, folder])
  t.equal(stdout, '200')
})
