import { CNI_CODES, CniFailure } from '../runtime/cni/failure.ts'
import { add, type Call, check, del, gc, status } from './commands.ts'
import { type Command, commandOf, containerOf } from './environment.ts'
import { createLog } from './log.ts'
import { configObject, readConfig } from './network-config.ts'
import { passedOn } from './result.ts'
import { mustKnow, VERSIONS, versionOf } from './version.ts'

export interface Outcome {
  /** What the runtime reads. */
  readonly stdout: string
  readonly exitCode: 0 | 1
}

/** One call of a CNI runtime: the CNI_ variables, what comes on stdin, and a place for lines of the log. Never throws. */
export async function runPlugin(
  variables: Readonly<Record<string, string | undefined>>,
  stdin: string,
  note: (line: string) => void,
): Promise<Outcome> {
  let asked: unknown
  try {
    const command = commandOf(variables)
    if (command === 'VERSION') {
      asked = stdin.trim() === '' ? undefined : configObject(stdin).cniVersion
      return printed({ cniVersion: textOr(asked), supportedVersions: VERSIONS })
    }
    const fields = configObject(stdin)
    asked = fields.cniVersion
    const version = versionOf(asked)
    mustKnow(version, command)
    const config = readConfig(fields)
    const about = `${command} ${variables.CNI_CONTAINERID ?? config.name}`
    const log = createLog(config.logLevel, about, note)
    const began = performance.now()
    await carryOut(command, { config, deadline: began + config.timeout, log }, variables)
    log('info', `done in ${Math.round(performance.now() - began)} ms`)
    if (command === 'ADD') return printed(passedOn(config.prevResult, version))
    return { stdout: '', exitCode: 0 }
  } catch (error) {
    return { ...printed({ cniVersion: textOr(asked), ...errorOf(error) }), exitCode: 1 }
  }
}

async function carryOut(
  command: Exclude<Command, 'VERSION'>,
  call: Call,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  switch (command) {
    case 'ADD':
      return add(call, containerOf(variables, command))
    case 'CHECK':
      return check(call, containerOf(variables, command))
    case 'DEL':
      return del(call, containerOf(variables, command))
    case 'GC':
      return gc(call)
    case 'STATUS':
      return status(call)
  }
}

function printed(value: object): Outcome {
  return { stdout: `${JSON.stringify(value)}\n`, exitCode: 0 }
}

/** The version of an answer is the question's, whatever that is. */
function textOr(version: unknown): string {
  return typeof version === 'string' ? version : VERSIONS.at(-1)!
}

function errorOf(error: unknown): { code: number; msg: string; details: string } {
  if (error instanceof CniFailure) return { code: error.code, msg: error.message, details: error.details }
  const { message, stack = '' } = error as Error
  return { code: CNI_CODES.UNEXPECTED, msg: `Unexpected: ${message}`, details: stack }
}
