import type { Backend } from '../../src/kernel/backend.ts'
import type { Processes } from '../../src/kernel/process.ts'
import { KubernetesTranslation } from '../../src/model/kubernetes/translation.ts'
import type { KeyChange } from '../../src/source/event.ts'
import { parseObjectKey } from '../../src/source/kubernetes/object-key.ts'
import { type Action, type Case, CaseWorld, type Expectation, isFinished, ownAddress } from './case.ts'
import { type Answer, type Depth, nobody, type Play } from './depth.ts'
import { KernelGround } from './kernel-ground.ts'
import { ask, type End, inTurns, isSilence, type Question } from './kernel-questions.ts'

const OPTIONS = {
  annotationPolicy: false,
  defaultPolicy: 'allow',
  annotationCombine: 'narrow',
  profiles: 'per-pod',
} as const

/** Packets that are under way at once: more, and a busy machine's answers come too late. */
const AT_ONCE = 256

/** Below what the kernel and the probe choose by themselves. */
const FIRST_PORT = 20_000
const PORTS = 10_000

const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const

/** Real packets between network namespaces, past a real agent on each node. Cases with the same nodes share them. */
export function kernelDepth(backend: Backend, processes: Processes): Depth {
  let ground: KernelGround | null = null
  const memory: Memory = { proven: new Set(), packets: 0, whole: true }
  const groundFor = async (given: Case): Promise<KernelGround> => {
    if (ground?.stands(given.nodes) && memory.whole) return ground
    const former = ground
    ground = null
    await former?.close()
    memory.proven.clear()
    memory.whole = true
    ground = await KernelGround.open(given.nodes, backend, processes)
    return ground
  }
  return {
    name: `kernel, iptables-${backend}`,
    async begin(given) {
      const play = new KernelPlay(given, await groundFor(given), memory)
      const whole = async <Result>(work: Promise<Result>): Promise<Result> => {
        memory.whole = false
        const result = await work
        memory.whole = true
        return result
      }
      await whole(play.begin())
      return {
        judge: asked => whole(play.judge(asked)),
        act: actions => whole(play.act(actions)),
        refused: () => play.refused(),
      }
    },
    async close() {
      await ground?.close()
    },
  }
}

/** What outlasts a case. */
interface Memory {
  /** Packets that were answered once, with these pods: silence means denied for them. */
  readonly proven: Set<string>
  /** How many questions there were: each has a source port of its own, so that none goes on with an old connection. */
  packets: number
  /** False after something failed halfway: then nobody knows what stands. */
  whole: boolean
}

class KernelPlay implements Play {
  readonly #case: Case
  readonly #world: CaseWorld
  readonly #ground: KernelGround
  readonly #memory: Memory
  readonly #translation = new KubernetesTranslation(OPTIONS)
  #tree: Map<string, string> = new Map()

  constructor(given: Case, ground: KernelGround, memory: Memory) {
    this.#case = given
    this.#world = new CaseWorld(given)
    this.#ground = ground
    this.#memory = memory
  }

  async begin(): Promise<void> {
    await this.#build()
    attachAll(this.#translation, this.#ground)
    this.#tree = new Map(this.#translation.snapshot(this.#world.entries()))
    await this.#ground.show(this.#tree)
  }

  async act(actions: readonly Action[]): Promise<void> {
    const changes = this.#world.act(actions)
    const { gone } = await this.#build()
    const told = [
      ...[...gone.keys()].flatMap(name => this.#translation.attach(name, null)),
      ...attachAll(this.#translation, this.#ground),
      ...this.#translation.change(changes),
    ]
    for (const { key, value } of told) {
      if (value === null) this.#tree.delete(key)
      else this.#tree.set(key, value)
    }
    await this.#ground.show(this.#tree)
  }

  refused(): readonly string[] {
    return [...this.#translation.problems().values()].map(({ key, reason }) => `${key}: ${reason}`)
  }

  async #build() {
    const difference = await this.#ground.become(this.#world.pods)
    if (difference.gone.size + difference.made.size > 0) this.#memory.proven.clear()
    return difference
  }

  async judge(asked: readonly Expectation[]): Promise<readonly Answer[]> {
    const questions = asked.map(expected => this.#question(expected))
    const real = questions.filter(question => question !== null)
    await this.#ground.prepare(real)
    const outcomes = await this.#ask(real, ({ expected }) => expected.allow)
    const deaf = await this.#prove(
      real.filter(question => isSilence(outcomes.get(question)!) && this.#isUnproven(question)),
    )
    return questions.map((question, index) => {
      if (question === null) return nobody(asked[index]!)
      const outcome = outcomes.get(question)!
      const why = deaf.has(question) ? 'no answer comes without any policy either' : `packets: ${outcome}`
      const allow = outcome === 'open' ? true : isSilence(outcome) && !deaf.has(question) ? false : null
      return { allow, trail: async () => [why, ...(await this.#ground.explain(question))] }
    })
  }

  async #ask(questions: readonly Question[], hoped: (question: Question) => boolean) {
    const { probe } = this.#ground.stage.lab
    const outcomes = await inTurns(questions, AT_ONCE, question => ask(probe, question, hoped(question)))
    for (const [index, question] of questions.entries())
      if (outcomes[index] === 'open') this.#memory.proven.add(packetOf(question))
    return new Map(questions.map((question, index) => [question, outcomes[index]!]))
  }

  /** What is only told needs no proof, and a finished pod is cut off whatever policy says. */
  #isUnproven(question: Question): boolean {
    const { from, to, strength } = question.expected
    const finished = this.#world.pods.filter(isFinished).map(({ ns, name }) => `${ns}/${name}`)
    const judged = strength === undefined && !finished.includes(from) && !finished.includes(to)
    return judged && !this.#memory.proven.has(packetOf(question))
  }

  /** Asks the same without any policy; returns whose silence says nothing, since they do not answer then either. */
  async #prove(questions: readonly Question[]): Promise<ReadonlySet<Question>> {
    if (questions.length === 0) return new Set()
    const open = new KubernetesTranslation(OPTIONS)
    attachAll(open, this.#ground)
    const objects = [...this.#world.entries()].filter(
      ([key]) => parseObjectKey(key)?.resource !== 'networkpolicies',
    )
    await this.#ground.show(open.snapshot(new Map(objects)))
    const outcomes = await this.#ask(questions, () => true)
    await this.#ground.show(this.#tree)
    return new Set(questions.filter(question => outcomes.get(question) !== 'open'))
  }

  /** Null: an end is not there, or has no address of that family. */
  #question(expected: Expectation): Question | null {
    const { family, protocol, port, via, viaPort } = expected
    const [from, to] = [this.#end(expected.from, family), this.#end(expected.to, family)]
    const address = via === undefined ? to?.address : this.#serviceAddress(via, family)
    if (from === null || to === null || address == null) return null
    return {
      ...{ expected, from, to },
      family: family === 'IPv4' ? 4 : 6,
      protocol: PROTOCOLS[protocol],
      called: { address, port: viaPort ?? port },
      sourcePort: FIRST_PORT + (this.#memory.packets++ % PORTS),
    }
  }

  #end(text: string, family: Expectation['family']): End | null {
    return this.#ground.end(text, family, this.#world.pods)
  }

  #serviceAddress(via: string, family: Expectation['family']): string | null {
    const service = this.#case.services?.find(({ ns, name }) => `svc:${ns}/${name}` === via)
    return ownAddress(service?.clusterIPs ?? [], family)
  }
}

/** What the container runtime would say of every pod that stands. */
function attachAll(translation: KubernetesTranslation, ground: KernelGround): KeyChange[] {
  return [...ground.pods.standing].flatMap(([name, pod]) =>
    translation.attach(name, {
      interface: pod.interface,
      mac: pod.mac,
      addresses: [pod.address4, pod.address6].filter(address => address !== null),
      sandbox: pod.name,
      uid: null,
    }),
  )
}

function packetOf({ from, to, called, protocol }: Question): string {
  return [from.namespace, from.address, to.namespace, to.address, called.address, protocol, called.port].join(
    ' ',
  )
}
