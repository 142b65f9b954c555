import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { type Child, systemProcesses } from '../../../src/kernel/process.ts'
import { etcdMissing, freePorts, type Scope, startEtcd, type TestEtcd } from '../../etcd.ts'
import { cuttingProxy } from '../../source/cutting-proxy.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { clusterTool } from './cluster-tool.ts'
import { KubeClient } from './kube-client.ts'
import type { KubeObject } from './object-path.ts'
import { ISSUER, kubeconfigText, openServiceAccount, type ServiceAccount } from './service-account.ts'

const SERVER = clusterTool('kube-apiserver')

/** Why no cluster can be started here, or false: `t.test('...', { skip: clusterMissing }, ...)`. */
export const clusterMissing: string | false = SERVER.missing || etcdMissing

/** Its children end when this process dies in whatever way. */
const PROCESSES = systemProcesses()
/** How long a server may take until it is ready; on two busy cores it takes many seconds. */
const PATIENCE_MS = 120_000

export interface ClusterOptions {
  /** Where it listens: 127.0.0.1 by default, in a laboratory `lab.storeAddress4`, which every node reaches. */
  readonly address?: string
  /** Further flags of kube-apiserver, after ours. */
  readonly flags?: readonly string[]
}

/**
 * A real kube-apiserver with an etcd of its own, and nothing else: no kubelet, no scheduler, no controller. Pods are
 * created on a node by `spec.nodeName`, and live as far as somebody patches their status.
 */
export class Cluster {
  /** `https://ADDRESS:PORT`. */
  readonly url: string
  readonly port: number
  /** May do everything. */
  readonly admin: KubeClient
  /** Of the admin, by client certificate. */
  readonly kubeconfig: string
  readonly etcd: TestEtcd
  readonly certificates: Certificates
  /** How long the last start took. */
  readyMs = 0
  private readonly t: Scope
  private readonly folder: string
  private readonly address: string
  private readonly args: readonly string[]
  private readonly clients: KubeClient[] = []
  private child: Child | null = null
  private log = ''

  constructor(t: Scope, at: { address: string; port: number; folder: string }, parts: ClusterParts) {
    const { address, port, folder } = at
    this.t = t
    this.address = address
    this.port = port
    this.folder = folder
    this.url = `https://${address}:${port}`
    this.etcd = parts.etcd
    this.certificates = parts.certificates
    this.args = serverArguments(at, parts)
    const { ca, adminCert, adminKey } = parts.certificates
    const [caText = '', cert = '', key = ''] = [ca, adminCert, adminKey].map(file =>
      readFileSync(file, 'utf8'),
    )
    this.admin = new KubeClient(this.url, { ca: caText, cert, key })
    this.clients.push(this.admin)
    this.kubeconfig = join(folder, 'admin.kubeconfig')
    const user = { 'client-certificate': adminCert, 'client-key': adminKey }
    writeFileSync(this.kubeconfig, kubeconfigText({ server: this.url, ca, user }))
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('the kube-apiserver is not running')
    return this.child.pid
  }

  /** What it has printed last. */
  get said(): string {
    return this.log
  }

  /** Starts (again) on the same data and port; resolves when it is ready. */
  async start(): Promise<void> {
    if (this.child) throw new Error('the kube-apiserver is already running')
    const began = performance.now()
    const child = PROCESSES.start(SERVER.path!, this.args, {
      onErrorLine: line => {
        this.log = `${this.log}${line}\n`.slice(-5000)
      },
    })
    this.child = child
    let end: string | null = null
    void child.ended.then(({ code, signal }) => {
      end = `ended with ${code ?? signal}`
    })
    for (const deadline = Date.now() + PATIENCE_MS; ; await pause(50)) {
      const ready = await this.admin.raw('GET', '/readyz').catch(() => null)
      if (ready?.code === 200) break
      if (end === null && Date.now() > deadline) end = 'was not ready in time'
      if (end !== null) throw new Error(`the kube-apiserver ${end}:\n${ready?.text ?? ''}\n${this.log}`)
    }
    this.readyMs = performance.now() - began
  }

  /** Ends it by SIGKILL unless told otherwise; its data stays. By SIGTERM it says farewell to every watch first. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this
    if (!child) return
    this.child = null
    try {
      process.kill(child.pid!, signal)
      // A paused one takes no other signal.
      if (signal !== 'SIGKILL') process.kill(child.pid!, 'SIGCONT')
    } catch {
      // It has ended by itself.
    }
    await child.ended
  }

  async restart(signal?: NodeJS.Signals): Promise<void> {
    await this.stop(signal)
    await this.start()
  }

  /** It stands still when this resolves; its connections stay open. */
  async pause(): Promise<void> {
    const { pid } = this
    process.kill(pid, 'SIGSTOP')
    while (!/^\d+ \(.*\) T/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await pause(5)
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Makes etcd forget everything but the present. What the server itself still remembers, it still tells. */
  async compact(): Promise<void> {
    await this.etcd.ctl('compact', '--physical', String(await this.etcd.revision()))
  }

  /** A server that remembers nothing older than now: it answers 410 to every resourceVersion of before. */
  async forget(): Promise<void> {
    await this.stop()
    await this.compact()
    await this.start()
  }

  /** A way to it that can be cut (`refuse`, `accept`), on the same address; `url` is where it begins. */
  async proxy() {
    const proxy = await cuttingProxy(this.t, this.port, this.address)
    return Object.assign(proxy, { url: `https://${this.address}:${proxy.port}` })
  }

  /** Applies every object of a YAML or JSON file. */
  async applyFile(file: string | URL): Promise<readonly KubeObject[]> {
    const documents = parseAllDocuments(readFileSync(file, 'utf8')).map(
      document => document.toJS() as KubeObject,
    )
    const applied: KubeObject[] = []
    for (const object of documents) if (object) applied.push(await this.admin.apply(object))
    return applied
  }

  /** The files and the rights of a service account that exists. `url`: another way to the server, such as a proxy's. */
  async serviceAccount(id: string, url = this.url): Promise<ServiceAccount> {
    const folder = mkdtempSync(join(this.folder, 'account-'))
    const { admin, certificates } = this
    const account = await openServiceAccount(id, { url, admin, certificates, folder })
    this.clients.push(account.client)
    return account
  }

  async end(): Promise<void> {
    for (const client of this.clients) client.close()
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

interface ClusterParts {
  readonly etcd: TestEtcd
  readonly certificates: Certificates
  readonly flags: readonly string[]
}

/** Starts a cluster that ends with the test `t`. */
export async function startCluster(t: Scope, options: ClusterOptions = {}): Promise<Cluster> {
  if (clusterMissing) throw new Error(clusterMissing)
  const { address = '127.0.0.1', flags = [] } = options
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'podfence-cluster-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const etcd = await startEtcd(t, { args: ['--unsafe-no-fsync'] })
  const certificates = await makeCertificates(folder, ['127.0.0.1', '::1', address])
  const [port] = await freePorts(1)
  const cluster = new Cluster(t, { address, port: port!, folder }, { etcd, certificates, flags })
  t.teardown(() => cluster.end())
  await cluster.start()
  return cluster
}

function serverArguments(
  at: { address: string; port: number; folder: string },
  parts: ClusterParts,
): string[] {
  const { ca, serverCert, serverKey, issuerKey, issuerPublic } = parts.certificates
  return [
    `--etcd-servers=${parts.etcd.endpoint}`,
    ...[`--bind-address=${at.address}`, `--secure-port=${at.port}`, `--advertise-address=${at.address}`],
    ...[`--tls-cert-file=${serverCert}`, `--tls-private-key-file=${serverKey}`, `--client-ca-file=${ca}`],
    ...[`--service-account-issuer=${ISSUER}`, `--service-account-signing-key-file=${issuerKey}`],
    `--service-account-key-file=${issuerPublic}`,
    '--authorization-mode=RBAC',
    // Nobody here makes the service accounts that it would demand of every pod.
    '--disable-admission-plugins=ServiceAccount',
    '--service-cluster-ip-range=10.96.0.0/16,fd96::/108',
    // The address of a test can be none that an Endpoints object may hold.
    '--endpoint-reconciler-type=none',
    // Only a test compacts.
    '--etcd-compaction-interval=0',
    '--profiling=false',
    ...parts.flags,
  ]
}
