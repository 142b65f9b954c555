import t from 'tap'
import { AS_ON_A_NODE } from '../src/lab/commands.ts'

/**
 * `run-files.js JOBS FILE...`: runs test files as `tap run` does, each as a process of its own and a subtest here, but
 * without what follows each module that is loaded, for coverage: that is most of what a small file costs.
 */
const [jobs = '1', ...files] = process.argv.slice(2)

/** Real kernels, etcds and agents on two cores: slow is no failure. */
const PATIENCE_MS = 600_000

t.jobs = Number(jobs)
t.setTimeout(0)
const [program = '', ...before] = AS_ON_A_NODE
for (const file of files)
  t.spawn(
    program,
    [...before, process.execPath, '--enable-source-maps', '--import=./test/compiled.js', file],
    {
      name: file,
      buffered: t.jobs > 1,
      timeout: PATIENCE_MS,
      env: { ...process.env, TAP_TIMEOUT: String(PATIENCE_MS / 1000) },
    },
  )
