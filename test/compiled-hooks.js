import { existsSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../', import.meta.url).href
const COMPILED = new URL('../dist-test/', import.meta.url)
const BUILT = new URL('.built', COMPILED)
const built = existsSync(BUILT) ? statSync(BUILT).mtimeMs : 0

const isSource = url => url?.startsWith(ROOT) && url.endsWith('.ts') && !url.includes('/node_modules/')

/** Node's resolve hook: what a compiled source imports as `./x.js` is the source `./x.ts`. */
export function resolve(specifier, context, next) {
  const ofSource = isSource(context.parentURL) && /^\.\.?\/.*\.js$/.test(specifier)
  return next(ofSource ? specifier.replace(/js$/, 'ts') : specifier, context)
}

/** Node's load hook: a source under its own address, as it was compiled. A source newer than the build is refused. */
export function load(url, context, next) {
  if (!isSource(url)) return next(url, context)
  if (statSync(new URL(url)).mtimeMs > built)
    throw new Error(`${fileURLToPath(url)} is newer than what was compiled of it: run .ci/build tests`)
  const compiled = new URL(url.slice(ROOT.length).replace(/ts$/, 'js'), COMPILED)
  return { format: 'module', shortCircuit: true, source: readFileSync(compiled, 'utf8') }
}
