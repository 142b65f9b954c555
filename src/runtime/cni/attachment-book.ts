import type { AttachmentRecord, Attachments } from './attachment.ts'
import type { AttachmentFiles } from './attachment-files.ts'
import { CniFailure } from './failure.ts'

export interface AttachmentBookOptions {
  readonly files: Pick<AttachmentFiles, 'load' | 'write' | 'remove'>
  readonly source: Attachments
  /** Names of this node's interfaces as they are now. */
  readonly interfaces: () => ReadonlySet<string>
  readonly now?: () => number
}

/**
 * How this node's pods hang on it, by the word of the CNI plugin: in memory, in the files, and told to the source. A pod's
 * newest sandbox counts; what is said later of an older one changes nothing.
 */
export class AttachmentBook {
  readonly #options: AttachmentBookOptions
  readonly #records = new Map<string, AttachmentRecord>()

  constructor(options: AttachmentBookOptions) {
    this.#options = options
  }

  /** The pod's newest record. */
  of(pod: string): AttachmentRecord | undefined {
    return this.#records.get(pod)
  }

  /** Takes up what an earlier agent has kept; resolves with what of that could not be read. */
  load(): readonly string[] {
    const { files, interfaces } = this.#options
    const { records, problems } = files.load()
    const there = interfaces()
    for (const record of [...records].sort((a, b) => a.at - b.at)) {
      const before = this.#records.get(record.pod)
      if (before !== undefined) files.remove(before.sandbox)
      // Whoever removed it found no agent to tell.
      const detached = record.detached || !there.has(record.interface)
      this.#keep(detached === record.detached ? record : { ...record, detached })
    }
    return problems
  }

  /** A sandbox has got its network. Throws CniFailure when it cannot be kept; nothing changes then. */
  attach(given: Omit<AttachmentRecord, 'at' | 'detached'>): void {
    const before = this.#records.get(given.pod)
    const now = this.#options.now?.() ?? Date.now()
    const record = { ...given, at: Math.max(now, (before?.at ?? 0) + 1), detached: false }
    try {
      this.#options.files.write(record)
    } catch (error) {
      const message = `The attachment of ${given.pod} cannot be kept: ${(error as Error).message}`
      throw new CniFailure('IO_FAILED', message)
    }
    this.#keep(record)
    if (before !== undefined && before.sandbox !== given.sandbox) this.#options.files.remove(before.sandbox)
  }

  /** A sandbox has lost its network. One that is nobody's present sandbox is no failure. */
  detach(sandbox: string): void {
    for (const record of this.#records.values()) {
      if (record.sandbox !== sandbox || record.detached) continue
      const detached = { ...record, detached: true }
      this.#keep(detached)
      try {
        this.#options.files.write(detached)
      } catch {
        // The next agent sees by the interface, which is gone then, what this file does not say.
      }
    }
  }

  /** Of `network` only these sandboxes still are. */
  collect(network: string, sandboxes: readonly string[]): void {
    const valid = new Set(sandboxes)
    for (const record of this.#records.values())
      if (record.network === network && !valid.has(record.sandbox)) this.detach(record.sandbox)
  }

  /** Forgets pods that are gone together with their interface, and detaches those that have lost it. `known`: the source has the pod. */
  sweep(known: (pod: string) => boolean): void {
    const { files, source, interfaces } = this.#options
    const there = interfaces()
    for (const { pod, sandbox, detached, interface: name } of this.#records.values()) {
      if (!detached && there.has(name)) continue
      if (known(pod)) {
        // Its DEL has met an agent that did not answer.
        this.detach(sandbox)
        continue
      }
      files.remove(sandbox)
      this.#records.delete(pod)
      source.attach(pod, null)
    }
  }

  #keep(record: AttachmentRecord): void {
    const { pod, interface: name, mac, addresses, sandbox, uid, detached } = record
    this.#records.set(pod, record)
    // With no addresses instead of none said: what the API still says of a pod without network is another's by now.
    const attachment = detached
      ? { interface: '', mac: null, addresses: [], sandbox, uid }
      : { interface: name, mac, addresses, sandbox, uid }
    this.#options.source.attach(pod, attachment)
  }
}
