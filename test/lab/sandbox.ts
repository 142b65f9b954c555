import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { systemProcesses } from '../../src/kernel/process.ts'
import { AS_ON_A_NODE } from '../../src/lab/commands.ts'
import { openLab } from '../../src/lab/lab.ts'
import { insideSandbox, sandboxObstacle } from '../../src/lab/sandbox.ts'

/** As it was compiled: it is started many times, without what a test is started with. */
const program = join(import.meta.dirname, '../../dist-test/test/lab/support/confined.js')
const skip = (await sandboxObstacle()) ?? false

/** Entries of /proc whose process shows `mark` in its command line or lives in the network namespace `net`. */
function processesOf(mark: string, net: string | null): string[] {
  return readdirSync('/proc').filter(pid => {
    if (!/^[0-9]+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark)) return true
      return net !== null && readlinkSync(`/proc/${pid}/ns/net`) === net
    } catch {
      return false
    }
  })
}

/** What the machine's own namespaces hold. */
function machine(): string {
  const links = readdirSync('/sys/class/net').sort()
  const named = spawnSync('ip', ['netns'], { encoding: 'utf8' }).stdout
  return JSON.stringify({ links, named })
}

function start(what: string, mark: string, before: readonly string[] = []): ChildProcess {
  const command = [...before, ...AS_ON_A_NODE, process.execPath, program, what, mark]
  return spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Resolves with the first line that the program prints. */
function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', chunk => {
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.once('exit', code => reject(new Error(`ended with ${code}: ${text}`)))
  })
}

function exit(child: ChildProcess): Promise<string> {
  return new Promise(resolve => child.once('exit', (code, signal) => resolve(String(signal ?? code))))
}

let marks = 0
const newMark = () => `podfence-mark-${process.pid}-${++marks}-${Math.random().toString(36).slice(2)}`

/** Waits for the kernel to have buried all of them; fails only when they will not go at all. */
async function nothingLeft(
  t: { same(a: unknown, b: unknown, message: string): unknown },
  mark: string,
  net: string,
): Promise<void> {
  for (let tries = 0; tries < 200 && processesOf(mark, net).length > 0; tries++) await pause(50)
  t.same(processesOf(mark, net), [], 'no process of the sandbox is left')
}

t.test('the exit code comes out', { skip }, async t => {
  t.equal(await exit(start('exit', '0')), '0')
  t.equal(await exit(start('exit', '7')), '7')
  t.equal(await exit(start('die', newMark())), '137', '128 and the number of the signal')
})

t.test('a signal goes in, and the answer comes out', { skip }, async t => {
  const child = start('answer', newMark())
  const ended = exit(child)
  await firstLine(child)
  child.kill('SIGTERM')
  t.equal(await ended, '42')
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)
  t.test(`${signal} of the outer process leaves nothing behind`, { skip }, async t => {
    const before = machine()
    const mark = newMark()
    const child = start('stay', mark)
    const ended = exit(child)
    const [, , net] = (await firstLine(child)).split(' ')
    t.not(net, readlinkSync('/proc/self/ns/net'), 'it is in a network namespace of its own')
    t.ok(processesOf(mark, net!).length >= 4, 'the program and its stubborn child are seen from outside')
    child.kill(signal)
    t.equal(
      await ended,
      signal === 'SIGKILL' ? signal : { SIGINT: '130', SIGTERM: '143', SIGHUP: '129' }[signal],
    )
    await nothingLeft(t, mark, net!)
    t.equal(machine(), before)
  })

t.test('unshare killed from outside takes everything along', { skip }, async t => {
  const mark = newMark()
  const child = start('stay', mark)
  const ended = exit(child)
  const [, , net] = (await firstLine(child)).split(' ')
  const unshare = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  process.kill(Number(unshare), 'SIGKILL')
  t.not(await ended, '0')
  await nothingLeft(t, mark, net!)
})

t.test('a laboratory that was never closed is gone with its program', { skip }, async t => {
  const before = machine()
  const mark = newMark()
  const child = start('lab', mark)
  const ended = exit(child)
  const [, , net] = (await firstLine(child)).split(' ')
  t.equal(await ended, '0')
  await nothingLeft(t, mark, net!)
  t.equal(machine(), before)
})

const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
const users =
  process.getuid?.() === 0 && spawnSync(nobody[0]!, [...nobody.slice(1), 'unshare', '--user', 'true'])
const noUsers = users && users.status === 0 ? skip : 'needs root, and namespaces for users without rights'

t.test('a user without rights', { skip: noUsers }, async t => {
  t.equal(await exit(start('exit', '7', nobody)), '7')
})

t.test('outside a sandbox there is no laboratory', async t => {
  t.equal(insideSandbox(), false)
  await t.rejects(openLab({ nodes: ['n1'], backend: 'nft' }, systemProcesses()), {
    code: 'PREREQUISITE_MISSING',
  })
})
