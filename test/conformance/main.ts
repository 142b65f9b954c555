import { fileURLToPath } from 'node:url'
import { PodfenceError } from '../../src/errors.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { readArguments, USAGE } from './arguments.ts'
import { readCase } from './case.ts'
import { caseFiles } from './case-files.ts'
import { playAll } from './conformance.ts'
import { kernelDepth } from './kernel-depth.ts'
import { offlineDepth } from './offline.ts'

/** This file runs from test/conformance/ of a folder below the package. */
const OWN_CASES = fileURLToPath(new URL('../../../test/cases/netpol', import.meta.url))

const say = (line: string) => console.log(line)

/** 0: all cases passed, and there were some. */
async function run(words: readonly string[]): Promise<number> {
  const { depth, backends, paths } = readArguments(words)
  const cases = caseFiles(paths.length > 0 ? paths : [OWN_CASES]).map(readCase)
  if (depth !== 'kernel') return (await playAll(cases, [async () => offlineDepth(depth)], say)) ? 0 : 1
  const { skip } = await enterSandbox()
  if (skip !== false)
    throw new PodfenceError('PREREQUISITE_MISSING', `Depth kernel cannot be played here: it ${skip}.`)
  const processes = systemProcesses()
  try {
    const depths = backends.map(backend => async () => kernelDepth(backend, processes))
    return (await playAll(cases, depths, say)) ? 0 : 1
  } finally {
    processes.stopAll()
  }
}

try {
  process.exit(await run(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof PodfenceError)) throw error
  console.error(error.message)
  console.error(error.code === 'USAGE' ? USAGE : error.next)
  process.exit(error.exitCode)
}
