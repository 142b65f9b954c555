import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Command, Option } from 'commander'
import { readCase } from './case.ts'
import { runOffline } from './offline.ts'
import { passes } from './result.ts'

/**
 * `npm run --silent conformance -- [--depth policy|rules] FILE|DIR...`: runs NetworkPolicy cases, prints each wrong verdict
 * with its trail, and ends with `N passed, N failed`. Without a name it runs the cases of this repository.
 */
const DEPTHS = ['policy', 'rules'] as const
const OWN_CASES = 'test/cases/netpol'

const program = new Command('conformance')
  .argument('[cases...]', 'files, or directories of them', [OWN_CASES])
  .addOption(new Option('--depth <depth>', 'who is asked').choices(DEPTHS).default('policy'))
  .action((cases: readonly string[], { depth }: { depth: (typeof DEPTHS)[number] }) => {
    process.exitCode = run(cases.flatMap(filesOf), depth)
  })
program.parse()

function filesOf(path: string): string[] {
  if (!existsSync(path)) {
    console.error(`${path}: there is no such file or directory`)
    process.exit(2)
  }
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path).filter(name => name.endsWith('.json'))
  return names.sort().map(name => join(path, name))
}

/** The exit code: 0 when something ran and nothing failed. */
function run(files: readonly string[], depth: 'policy' | 'rules'): number {
  let [passed, failed, verdicts] = [0, 0, 0]
  for (const file of files) {
    const name = basename(file, '.json')
    try {
      const result = runOffline(readCase(file), depth)
      verdicts += result.judged
      if (passes(result)) passed++
      else {
        failed++
        console.log(`not ok ${name}: ${result.wrong.length} of ${result.judged} verdicts are wrong`)
        for (const line of [...result.refused, ...result.wrong])
          console.log(`  ${line.replaceAll('\n', '\n  ')}`)
      }
    } catch (error) {
      failed++
      console.log(`not ok ${name}: ${(error as Error).stack}`)
    }
  }
  console.log(`${verdicts} verdicts at depth ${depth}`)
  console.log(`${passed} passed, ${failed} failed`)
  return passed > 0 && failed === 0 ? 0 : 1
}
