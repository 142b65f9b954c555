import { loadavg } from 'node:os'
import { BACKENDS } from '../../src/kernel/backend.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { BENCHES } from './benches.ts'
import { jsonLine, type Measured, tableLines } from './figure.ts'
import { type Bench, Ground } from './ground.ts'

/** `[--json] [--backend nft|legacy] [B1 B2 ...]`: all that are named, on both backends unless told otherwise. */
const words = process.argv.slice(2)
const json = words.includes('--json')
const backendAt = words.indexOf('--backend')
const backends = backendAt < 0 ? BACKENDS : BACKENDS.filter(backend => backend === words[backendAt + 1])
const names = words.filter(word => /^B\d+$/.test(word))
const strange = words.filter(
  (word, at) =>
    !names.includes(word) && word !== '--json' && (backendAt < 0 || at < backendAt || at > backendAt + 1),
)
const unknown = names.filter(name => !BENCHES.some(bench => bench.names.includes(name)))
if (strange.length + unknown.length > 0 || backends.length === 0) {
  const all = BENCHES.flatMap(bench => bench.names).join(' ')
  console.error(`usage: npm run bench -- [--json] [--backend nft|legacy] [NAME...], NAME one of ${all}`)
  process.exit(2)
}

const { skip } = await enterSandbox()
if (skip !== false) {
  console.error(`The bench cannot run here: it ${skip}.`)
  process.exit(1)
}
const chosen = BENCHES.filter(bench => names.length === 0 || bench.names.some(name => names.includes(name)))
const figures: Measured[] = []
let failed = false
for (const backend of backends) {
  const processes = systemProcesses()
  const ground = await Ground.open(backend, processes)
  try {
    for (const { names: own, bench, only } of chosen) {
      if (only !== undefined && only !== backend) continue
      await play(own, bench, ground)
    }
  } finally {
    await ground.close().catch(error => console.error(error))
    processes.stopAll()
  }
}
if (!json) for (const line of tableLines(inOrder(figures))) console.log(line)
process.exit(failed ? 1 : 0)

/** A bench that fails is told, and the others go on. */
async function play(own: readonly string[], bench: Bench, ground: Ground): Promise<void> {
  const began = performance.now()
  const say = (text: string) =>
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${ground.backend}: ${text}\n`)
  try {
    for (const taken of await bench(ground, say)) {
      const figure = { ...taken, load: loadavg()[0] ?? 0 }
      if (names.length > 0 && !names.includes(figure.bench)) continue
      figures.push(figure)
      if (json) console.log(jsonLine(figure))
    }
  } catch (error) {
    failed = true
    console.error(`${own.join(', ')} failed on ${ground.backend}:`, error)
  }
  say(`${own.join(', ')} took ${((performance.now() - began) / 1000).toFixed(0)} s`)
}

function inOrder(list: readonly Measured[]): Measured[] {
  const number = ({ bench }: Measured) => Number(bench.slice(1))
  return [...list].sort((a, b) => number(a) - number(b))
}
