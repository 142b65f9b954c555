import { rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { PodfenceError } from '../errors.ts'
import type { Child, Processes } from '../kernel/process.ts'
import { openEtcd } from '../source/etcd-client.ts'
import type { Store } from '../source/store.ts'

/** A private etcd in the sandbox, on the fabric, so that every node reaches it. */
export interface LabEtcd {
  readonly endpoint: string
  readonly store: Store
  readonly pid: number
  signal(name: NodeJS.Signals): void
  /** Ends it; its data stays for `start`. */
  stop(): Promise<void>
  /** Starts it (again) on the same data and resolves when it answers. */
  start(): Promise<void>
  /** Forgets all data; only while it is stopped. */
  wipe(): void
  close(): Promise<void>
}

/** What makes etcd a store of its own on one machine that is soon its own leader, and logs to stderr. */
export function etcdArguments(at: { data: string; endpoint: string; peer: string }): readonly string[] {
  return [
    ...['--name', 'alone', '--data-dir', at.data, '--heartbeat-interval', '20', '--election-timeout', '200'],
    ...['--listen-client-urls', at.endpoint, '--advertise-client-urls', at.endpoint],
    ...['--listen-peer-urls', at.peer, '--initial-advertise-peer-urls', at.peer],
    ...['--initial-cluster', `alone=${at.peer}`, '--logger', 'zap', '--log-outputs', 'stderr'],
  ]
}

/** How long a new etcd may take until it answers. */
const PATIENCE_MS = 20_000

/** Starts an etcd at `address` and resolves when it answers. Throws PREREQUISITE_MISSING without the program. */
export async function openLabEtcd(processes: Processes, address: string, port = 2379): Promise<LabEtcd> {
  const data = `/run/podfence-lab/etcd-${port}`
  const endpoint = `http://${address}:${port}`
  const peer = `http://127.0.0.1:${port + 1}`
  const store = openEtcd({ endpoints: [endpoint] })
  let child: Child | null = null
  const running = () => {
    if (child === null) throw new PodfenceError('USAGE', 'The laboratory etcd is stopped.')
    return child
  }
  const etcd: LabEtcd = {
    endpoint,
    store,
    get pid() {
      return running().pid!
    },
    signal: name => void process.kill(running().pid!, name),
    async stop() {
      const stopping = running()
      // Not politely: a frozen one could not end.
      stopping.kill()
      await stopping.ended
      child = null
    },
    async start() {
      let log = ''
      const started = processes.start(
        'etcd',
        // Nobody relies on what is in it after a crash of the machine.
        [...etcdArguments({ data, endpoint, peer }), '--unsafe-no-fsync', '--log-level', 'warn'],
        {
          onErrorLine(line) {
            log = `${log}${line}\n`.slice(-3000)
          },
        },
      )
      child = started
      let over = false
      void started.ended.then(() => {
        over = true
      })
      for (const deadline = Date.now() + PATIENCE_MS; ; ) {
        try {
          await store.get('/')
          return
        } catch {
          if (over || Date.now() > deadline)
            throw new PodfenceError(
              'PREREQUISITE_MISSING',
              `etcd did not start: ${log || 'is etcd-server installed?'}`,
            )
          await pause(50)
        }
      }
    },
    wipe: () => rmSync(data, { recursive: true, force: true }),
    async close() {
      store.close()
      if (child !== null) await etcd.stop()
      etcd.wipe()
    },
  }
  await etcd.start()
  return etcd
}
