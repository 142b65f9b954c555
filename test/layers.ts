import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'

/** The folder order is the data flow: a folder imports from itself and from folders before it only. */
const FLOW = ['source', 'model', 'policy', 'render', 'kernel', 'runtime', 'lab', 'cni', 'cli']
const ROOT = join(import.meta.dirname, '../src')

/** Files directly under src/: the error catalogue is below everything, each daemon's composition root above all but cli. */
const FILES: Record<string, number> = {
  'errors.ts': -1,
  'agent.ts': FLOW.indexOf('lab') + 0.5,
  'controller.ts': FLOW.indexOf('lab') + 0.5,
}

const sources = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))

/** Position in the flow of a path relative to src/; undefined for what has no place in it. */
function place(path: string): number | undefined {
  const [folder = '', ...rest] = path.split('/')
  if (rest.length === 0) return FILES[folder]
  const index = FLOW.indexOf(folder)
  return index < 0 ? undefined : index
}

/** Every import of a file: static, dynamic and type imports alike. */
function imports(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(match => match[1]!)
}

/** Only what is imported when the program runs: types cost nothing and open nothing. */
function runtimeImports(text: string): string[] {
  return imports(text.replaceAll(/^import type [^']*'[^']+'$/gm, ''))
}

t.test('a folder imports only from folders before it', async t => {
  t.ok(sources.length > 10, 'the sources were found')
  for (const file of sources) {
    const own = place(file)
    t.not(own, undefined, `src/${file} has a place in the flow`)
    for (const name of imports(readFileSync(join(ROOT, file), 'utf8'))) {
      if (!name.startsWith('.')) continue
      const target = relative(ROOT, join(ROOT, dirname(file), name))
      const other = place(target)
      if (other === undefined || own === undefined || other > own) t.fail(`src/${file} imports src/${target}`)
    }
  }
})

t.test('one file spawns processes, one opens etcd, one Kubernetes', async t => {
  const users = (pattern: RegExp) =>
    sources.filter(file =>
      runtimeImports(readFileSync(join(ROOT, file), 'utf8')).some(name => pattern.test(name)),
    )
  t.same(users(/^(execa|node:child_process|child_process)$/), ['kernel/process.ts'])
  t.same(users(/^etcd3$/), ['source/etcd-client.ts'])
  t.same(users(/^node:https$/), ['source/kubernetes/client.ts'])
})

t.test('no barrels, no default exports, no utils', async t => {
  for (const file of sources) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    t.notMatch(file, /(^|\/)(index|utils?|helpers?|common|misc)\.ts$/, file)
    t.notMatch(text, /^export default/m, file)
    t.notMatch(text, /^export (\*|\{[^}]*\}) from/m, file)
  }
})
