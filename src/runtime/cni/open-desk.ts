import { readFileSync } from 'node:fs'
import type { KernelDriver } from '../../kernel/driver.ts'
import { type AgentNotes, endpointGround } from '../agent-status.ts'
import type { Clock } from '../clock.ts'
import { endpointStates } from '../endpoint-states.ts'
import type { Enforcement } from '../enforcement.ts'
import type { LiveSettings } from '../live-settings.ts'
import type { Logger } from '../log.ts'
import { type Attachments, podEndpointId } from './attachment.ts'
import { AttachmentBook } from './attachment-book.ts'
import { AttachmentFiles } from './attachment-files.ts'
import { CniDesk } from './desk.ts'
import { EndpointWaits } from './endpoint-waits.ts'

export interface CniOptions {
  readonly live: LiveSettings
  readonly attachments: Attachments | null
  readonly enforcement: Enforcement
  readonly driver: KernelDriver
  readonly notes: Pick<AgentNotes, 'applyFailure' | 'waitingFor'>
  readonly clock: Clock
  readonly log: Logger
}

/** The agent as the CNI plugin meets it. */
export interface Cni {
  readonly desk: CniDesk
  /** Something that waits are about may have changed. */
  changed(): void
  stop(): void
}

/** How often pods that are gone are forgotten. */
const SWEEP_MS = 60_000

/** Puts the desk together, and tells the source what an earlier agent has kept: call before it is watched. */
export function openDesk(options: CniOptions): Cni {
  const { live, attachments, enforcement, driver, notes, clock, log } = options
  const { hostName: host, source, runDir } = live.now
  const book =
    attachments && new AttachmentBook({ source: attachments, files: new AttachmentFiles(runDir), interfaces })
  try {
    for (const problem of book?.load() ?? [])
      log.warn({ component: 'cni' }, `an attachment is lost: ${problem}`)
  } catch (err) {
    log.error({ err, component: 'cni' }, 'the attachments of before cannot be read')
  }
  const waits = new EndpointWaits(
    {
      progress() {
        const { taken, carried } = enforcement.revisions
        const trouble = notes.waitingFor ?? notes.applyFailure
        return { taken, carried, trouble }
      },
      endpoint: id => enforcement.view.endpoint(id),
      state(id) {
        const endpoint = enforcement.view.endpoint(id)!
        return endpointStates([endpoint], endpointGround(enforcement, driver, null))[0]!
      },
    },
    clock,
  )
  let cancelSweep = () => {}
  const sweep = () => {
    const known = (pod: string) => enforcement.view.endpoint(podEndpointId(host, pod)) !== undefined
    // Before the first list every pod is unknown.
    if (enforcement.inSync) book?.sweep(known)
    cancelSweep = clock.after(SWEEP_MS, sweep)
  }
  if (book !== null) cancelSweep = clock.after(SWEEP_MS, sweep)
  const desk = new CniDesk({
    host,
    source,
    annotationPolicy: () => live.now.annotationPolicy,
    book,
    waits,
    health: () => ({ waitingFor: notes.waitingFor, failure: notes.applyFailure }),
  })
  return { desk, changed: () => waits.changed(), stop: () => cancelSweep() }
}

/** This network namespace's interfaces; /sys may show another's. */
function interfaces(): ReadonlySet<string> {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n')
  return new Set(lines.flatMap(line => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []))
}
