// Loads the tests, and what they test, as `.ci/build tests` compiled them: each test is a process of its own, and the
// compiler costs every one of them seconds (`node --import ./test/compiled.js`). A test that enters the sandbox starts again
// inside: here, before it has loaded what it needs only there.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'

const [, file] = process.argv
if (file?.endsWith('.ts') && /^import .*\b(enterSandbox|playScenarios)\b/m.test(readFileSync(file, 'utf8'))) {
  const { enterSandbox } = await import('../dist-test/src/lab/sandbox.js')
  await enterSandbox()
}
register('./compiled-hooks.js', import.meta.url)
