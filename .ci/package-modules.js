// Puts the npm packages that the bundles leave outside where the installed programs look for them, and the licence text of
// each package that they contain beside the package's documents:
//   node .ci/package-modules.js METAFILE NODE_MODULES LICENCES
// METAFILE is what esbuild tells of the bundles' inputs.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'

const [metafile, modules, licences] = process.argv.slice(2)
const { inputs } = JSON.parse(readFileSync(metafile, 'utf8'))

const bundled = Object.keys(inputs)
  .map(file => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  .filter(place => place !== undefined)
const outside = closure('node_modules/etcd3')

for (const place of outside) {
  cpSync(place, join(modules, relative('node_modules', place)), {
    recursive: true,
    // Nested packages come by themselves, as far as they are needed.
    filter: file => relative(place, file).split('/')[0] !== 'node_modules' && isLoaded(file),
  })
}
for (const place of new Set([...bundled, ...outside])) writeLicence(place)

/** The directory of a package and those of all it depends on, as Node finds them from there. */
function closure(place, found = new Set()) {
  if (found.has(place)) return found
  found.add(place)
  const { dependencies = {} } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
  // Types are for compilers.
  const loaded = Object.keys(dependencies).filter(name => !name.startsWith('@types/'))
  for (const name of loaded) closure(resolve(name, place), found)
  return found
}

function resolve(name, from) {
  for (let place = from; place !== '.'; place = dirname(place)) {
    const candidate = join(place, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return candidate
  }
  const candidate = join('node_modules', name)
  if (!existsSync(candidate)) throw new Error(`${name}, which ${from} needs, is not installed`)
  return candidate
}

/** Whether a program may load it, in what etcd3 needs: no sources, types, maps, and commands of their own. */
function isLoaded(file) {
  if (basename(file).startsWith('.') || basename(file) === 'bin') return false
  return statSync(file).isDirectory() || ['.js', '.cjs', '.json', '.proto'].includes(extname(file))
}

function writeLicence(place) {
  const { name, version, license } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
  const file = readdirSync(place).find(entry => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} ${version} (${license}) carries no licence text`)
  mkdirSync(licences, { recursive: true })
  cpSync(join(place, file), join(licences, `${name.replace('/', '-')}-${version}`))
}
