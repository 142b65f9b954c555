import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { promised, wholeName } from '../../../src/lab/demo-pods.ts'
import { type Counts, countsOf } from '../../systemd/support/counts.ts'
import { until } from '../../until.ts'
import { Guest } from './guest.ts'
import { type GuestPod, guestPods, policyOf } from './pods.ts'

/** What `vagrant ssh-config` says, in a file: `vagrant/test` makes it. */
const { PODFENCE_SSH_CONFIG: config } = process.env

/** The reason why there are no machines to test, or false. */
export const skip = config === undefined ? 'needs the machines that vagrant/test starts' : false

const PORTS = [80, 4001] as const

/** To whom the pods of vagrant/guest/pods send without end, and which of the senders policy lets in. */
const FLOWS = [
  {
    to: 'default.batch',
    allowed: ['default.frontend', 'default.redis'],
    denied: ['production.pod1', 'production.report'],
  },
  { to: 'default.redis', allowed: ['default.frontend'], denied: ['default.batch', 'production.report'] },
] as const

/** The two nodes of the Vagrantfile and their etcd, with the policies of the annotation examples in force. */
export class Nodes {
  readonly pods = guestPods()
  readonly etcd = new Guest('etcd', config!)
  readonly node1 = new Guest('node1', config!)
  readonly node2 = new Guest('node2', config!)

  /** Connects, and brings the nodes to where each test begins. */
  static async open(t: Test): Promise<Nodes> {
    const nodes = new Nodes()
    t.teardown(() => {
      for (const guest of nodes.all) guest.close()
    })
    await Promise.all(nodes.all.map(guest => guest.connect()))
    await nodes.etcd.run('systemctl start etcd')
    await nodes.apply(nodes.pods)
    return nodes
  }

  get all(): readonly Guest[] {
    return [this.etcd, this.node1, this.node2]
  }

  /** Writes policy as an operator does, and waits until both nodes enforce it. */
  async apply(pods: readonly GuestPod[]): Promise<void> {
    await this.node2.run(`podfence apply -f - <<'YAML'\n${policyOf(pods)}\nYAML`)
    // Agents write to the store as well, so its own revision is of no use.
    const last =
      'get /calico/v1/ --prefix --keys-only --sort-by MODIFY --order DESCEND --limit 1 --write-out json'
    const said = await this.etcd.run(`ETCDCTL_API=3 etcdctl --endpoints http://192.168.56.10:2379 ${last}`)
    const { kvs } = JSON.parse(said) as { kvs: { mod_revision: number }[] }
    await Promise.all([this.node1, this.node2].map(node => this.enforcing(node, kvs[0]!.mod_revision)))
  }

  /** Until the node's agent says that it enforces the store as of this revision, or as it knows it. */
  async enforcing(node: Guest, revision = 0): Promise<void> {
    const enforces = async () => {
      const said = await node.run(
        'systemctl start podfence-agent && podfence status --wait --timeout 180 -o json',
        200_000,
      )
      return Number((JSON.parse(said) as { enforcedRevision: string }).enforcedRevision) >= revision
    }
    await until(`${node.name} enforces revision ${revision}`, enforces, 240_000)
  }

  /** What each pod has sent and heard. */
  async counts(): Promise<Readonly<Record<string, Counts>>> {
    const [one, two] = await Promise.all([this.node1, this.node2].map(node => countsOf(node, '/run/pods')))
    return { ...one, ...two }
  }

  /** Until more has come of all that may pass. */
  async flowing(): Promise<void> {
    const before = await this.counts()
    const flows = async () => {
      const counts = await this.counts()
      const packets = (to: string, from: string, of: typeof counts) => of[to]?.heard[from]?.packets ?? 0
      return FLOWS.every(({ to, allowed }) =>
        allowed.every(from => packets(to, from, counts) > packets(to, from, before)),
      )
    }
    await until('allowed packets', flows, 180_000)
  }

  /** Judges that nothing denied was heard since the pods' start, though it is sent. */
  async nothingDenied(t: Test): Promise<void> {
    const before = await this.counts()
    await pause(1_000)
    const counts = await this.counts()
    for (const { to, allowed, denied } of FLOWS) {
      const heard = Object.keys(counts[to]!.heard)
      t.same(
        heard.filter(from => !(allowed as readonly string[]).includes(from)),
        [],
        `nothing that is denied has come to ${to}`,
      )
      for (const from of denied) t.ok(counts[from]!.sent > before[from]!.sent, `${from} sends to it`)
    }
  }

  /** Plays `work` under all flows: nothing denied passes, and of the allowed nothing is lost. */
  async underFlows(t: Test, work: () => Promise<unknown>): Promise<void> {
    await this.flowing()
    const before = await this.counts()
    await work()
    const after = await this.counts()
    await this.nothingDenied(t)
    for (const { to, allowed } of FLOWS)
      for (const from of allowed) {
        const [was, is] = [before[to]!.heard[from]!, after[to]!.heard[from]!]
        t.ok(is.packets > was.packets, `${from} still reaches ${to}`)
        t.equal(
          is.lost - was.lost,
          0,
          `of ${is.packets - was.packets} packets from ${from} to ${to} none is lost`,
        )
      }
  }

  /** Asks every place for every pod's ports, compares with what the examples promise, and prints who reaches whom. */
  async matrix(t: Test, changed = false): Promise<void> {
    const said = (
      await Promise.all(this.all.map(guest => guest.run('/usr/local/lib/guest/reach', 120_000)))
    ).join('')
    const answers = new Map(
      said
        .trim()
        .split('\n')
        .map(line => /^(\S+ \S+ \S+) (.+)$/.exec(line)!)
        .map(([, question = '', answer = '']) => [question, answer]),
    )
    const names = this.pods.map(wholeName)
    const rows = [...names, this.etcd.name].map(from => {
      const cells = names.map(to => {
        const open = PORTS.filter(port => answers.get(`${from} ${to} ${port}`) === 'open')
        const expected = PORTS.filter(port => promised(from, to, port, changed))
        t.same(open, expected, `${from} to ${to}`)
        return open.join('+') || 'X'
      })
      return [from, ...cells]
    })
    t.equal(answers.size, rows.length * names.length * PORTS.length, 'every question has its answer')
    t.same([...new Set(answers.values())].sort(), ['dropped', 'open'], 'what is denied is dropped')
    const table = [['ports 80+4001', ...this.pods.map(({ node, name }) => `${node}/${name}`)], ...rows]
    for (const [from = '', ...cells] of table)
      t.comment(`${from.padEnd(20)}${cells.map(cell => cell.padEnd(15)).join('')}`)
  }
}
