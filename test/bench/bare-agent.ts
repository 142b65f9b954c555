import { createInterface } from 'node:readline'
import { Etcd3 } from 'etcd3'
import { type Child, systemProcesses } from '../../src/kernel/process.ts'

/**
 * The bare floor, a program of its own beside the agent's: it watches one key, and for the word in it writes
 * texts that were made beforehand to long-lived tools, then tells the revision. Nothing is decoded, computed
 * or rendered. Arguments: etcd endpoint, key, backend. Texts come as JSON lines on stdin:
 * `{"word":"a","restore4":"...","restore6":"...","ipset":"..."}`, each answered with `ready WORD`.
 */
interface Texts {
  readonly word: string
  readonly restore4?: string
  readonly restore6?: string
  readonly ipset?: string
}

const [endpoint = '', key = '', backend = ''] = process.argv.slice(2)
const processes = systemProcesses()
const texts = new Map<string, Texts>()
let acknowledgements = 0

/** A tool with a function that writes text and resolves when the tool has echoed the acknowledgement. */
function tool(start: (heard: (line: string) => void) => Child, ask: (n: number) => [string, string]) {
  let awaited = ''
  let done: () => void = () => {}
  const child = start(line => {
    if (line === awaited) done()
  })
  return (text: string) =>
    new Promise<void>(resolve => {
      const [question, answer] = ask(++acknowledgements)
      awaited = answer
      done = resolve
      child.write(`${text}${question}\n`)
    })
}

const restore = (name: string) =>
  tool(
    onLine => processes.start(`${name}-${backend}-restore`, ['--noflush', '-v', '-w'], { onLine }),
    n => [`# ack ${n}`, `# ack ${n}`],
  )
const restore4 = restore('iptables')
const restore6 = restore('ip6tables')
const ipset = tool(
  onErrorLine => processes.start('ipset', ['-exist', '-'], { onErrorLine }),
  n => [`test bench-ack 0.0.${n >> 8}.${n & 255}`, `0.0.${n >> 8}.${n & 255} is NOT in set bench-ack.`],
)
await Promise.all([restore4(''), restore6(''), ipset('create bench-ack hash:ip\n')])

const client = new Etcd3({ hosts: [endpoint] })
const watcher = await client.watch().key(key).create()
watcher.on('put', async put => {
  const found = texts.get(put.value.toString())
  if (found?.ipset !== undefined) await ipset(found.ipset)
  await Promise.all([
    found?.restore4 === undefined ? null : restore4(found.restore4),
    found?.restore6 === undefined ? null : restore6(found.restore6),
  ])
  console.log(`done ${put.mod_revision}`)
})

const lines = createInterface({ input: process.stdin })
lines.on('line', line => {
  const given: Texts = JSON.parse(line)
  texts.set(given.word, given)
  console.log(`ready ${given.word}`)
})
lines.on('close', () => process.exit(0))
console.log('ready ')
