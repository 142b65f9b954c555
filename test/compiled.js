// Loads the tests, and what they test, as `.ci/build tests` compiled them: each test is a process of its own, and the
// compiler costs every one of them seconds. Preloaded by .taprc (`node --import ./test/compiled.js`).
import { register } from 'node:module'

register('./compiled-hooks.js', import.meta.url)
