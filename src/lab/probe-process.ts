import { PodfenceError } from '../errors.ts'
import type { Processes } from '../kernel/process.ts'
import { PROBE_FLOWS } from './probe-flows.ts'
import { PROBE_LOOP } from './probe-loop.ts'
import { PROBE_PACKETS } from './probe-packets.ts'
import { PROBE_SOCKETS } from './probe-sockets.ts'

/** What the probe's process said: a word, and fields as text. */
export interface Answer {
  readonly id: string
  readonly word: string
  readonly fields: ReadonlyMap<string, string>
}

export type RequestFields = Readonly<Record<string, string | number | boolean | undefined>>

/** The one process that opens sockets in every namespace of the laboratory. */
export interface ProbeProcess {
  /** Resolves with the process's one answer. Throws PodfenceError when it refuses or has ended. */
  request(verb: string, fields: RequestFields): Promise<Answer>
  close(): Promise<void>
}

/** Starts the probe's process. It ends when its stdin closes, so it cannot outlive this process. */
export function startProbeProcess(processes: Processes): ProbeProcess {
  const program = [PROBE_LOOP, PROBE_SOCKETS, PROBE_PACKETS, PROBE_FLOWS, 'main_loop();'].join('\n')
  const waiting = new Map<string, { resolve(answer: Answer): void; reject(error: Error): void }>()
  let last = 0
  let complaint = ''
  let over = false

  const child = processes.start('perl', ['-e', program], {
    onLine(line) {
      const answer = parseAnswer(line)
      const asked = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.word !== 'failed') return asked?.resolve(answer)
      asked?.reject(refused(answer.fields.get('message')?.replaceAll('_', ' ') ?? 'no reason given'))
    },
    onErrorLine(line) {
      complaint = `${complaint}${line}\n`.slice(-2000)
    },
  })
  const ended = child.ended.then(end => {
    over = true
    for (const asked of waiting.values())
      asked.reject(refused(`its process ended (${end.code ?? end.signal}) ${complaint}`.trim()))
    waiting.clear()
  })

  return {
    request(verb, fields) {
      if (over) return Promise.reject(refused(`its process has ended ${complaint}`.trim()))
      const id = `q${++last}`
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        child.write(`${id} ${verb}${printFields(fields)}\n`)
      })
    },
    async close() {
      child.end()
      await ended
    },
  }
}

function refused(reason: string): PodfenceError {
  return new PodfenceError('PREREQUISITE_MISSING', `The laboratory's probe failed: ${reason}`)
}

function parseAnswer(line: string): Answer {
  const [id = '', word = '', ...pairs] = line.split(' ')
  const fields = new Map<string, string>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    fields.set(pair.slice(0, at), pair.slice(at + 1))
  }
  return { id, word, fields }
}

function printFields(fields: RequestFields): string {
  let text = ''
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const printed = typeof value === 'boolean' ? Number(value) : value
    if (/\s/.test(String(printed))) throw refused(`a blank in ${name}=${printed}`)
    text += ` ${name}=${printed}`
  }
  return text
}
