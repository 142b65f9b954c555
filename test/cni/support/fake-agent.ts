import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { PodAttachment } from '../../../src/model/kubernetes/pod-attachment.ts'
import { serveCniSocket } from '../../../src/runtime/agent-socket.ts'
import { AttachmentBook } from '../../../src/runtime/cni/attachment-book.ts'
import { AttachmentFiles } from '../../../src/runtime/cni/attachment-files.ts'
import { CniDesk, type CniNode } from '../../../src/runtime/cni/desk.ts'
import type { WantedEndpoint } from '../../../src/runtime/cni/endpoint-waits.ts'
import { cniRoutes } from '../../../src/runtime/cni/routes.ts'

/** An agent as far as its CNI socket: what it enforces is said by the test. */
export class FakeAgent {
  readonly directory: string
  readonly socket: string
  /** What it was asked to wait for, with the time allowed. */
  readonly asked: (readonly [WantedEndpoint, number])[] = []
  /** What the source was told of pods. */
  readonly told: (readonly [string, PodAttachment | null])[] = []
  readonly book: AttachmentBook
  /** Answers each wait. */
  enforced: (wanted: WantedEndpoint, within: number) => Promise<void> = async () => {}
  annotationPolicy = true
  health: { waitingFor: string | null; failure: string | null } = { waitingFor: null, failure: null }
  readonly #node: CniNode
  #close: () => Promise<void> = async () => {}

  constructor(source: CniNode['source']) {
    this.directory = mkdtempSync(join(tmpdir(), 'podfence-cni-'))
    this.socket = join(this.directory, 'cni.sock')
    this.#node = { host: 'node1', source }
    this.book = new AttachmentBook({
      files: new AttachmentFiles(this.directory),
      source: { attach: (pod, attachment) => void this.told.push([pod, attachment]) },
      interfaces: () => new Set(['lo']),
    })
  }

  async start(): Promise<void> {
    const desk = new CniDesk({
      ...this.#node,
      annotationPolicy: () => this.annotationPolicy,
      book: this.#node.source === 'kubernetes' ? this.book : null,
      waits: {
        enforced: (wanted, within) => {
          this.asked.push([wanted, within])
          return this.enforced(wanted, within)
        },
      },
      health: () => this.health,
    })
    const served = await serveCniSocket(this.socket, cniRoutes(desk))
    this.#close = () => served.close()
  }

  async stop(): Promise<void> {
    await this.#close()
    this.#close = async () => {}
  }
}

/** Runs until the test ends. */
export async function startFakeAgent(t: Test, source: CniNode['source']): Promise<FakeAgent> {
  const agent = new FakeAgent(source)
  await agent.start()
  t.teardown(async () => {
    await agent.stop()
    rmSync(agent.directory, { recursive: true })
  })
  return agent
}
