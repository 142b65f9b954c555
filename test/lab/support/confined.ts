import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { systemProcesses } from '../../../src/kernel/process.ts'
import { openLab } from '../../../src/lab/lab.ts'
import { enterSandbox } from '../../../src/lab/sandbox.ts'

/**
 * A program that runs itself in a sandbox, for the sandbox's own tests: `confined.ts WHAT MARK`. MARK stands in
 * the command line of everything it starts.
 */
const [what = '', mark = ''] = process.argv.slice(2)
const { skip } = await enterSandbox()
if (skip) {
  console.log(skip)
  process.exit(77)
}

/** A grandchild with a session of its own that ends at no polite request. */
function startStubborn(): Promise<void> {
  const script = 'trap "" HUP INT QUIT TERM; echo on; while :; do sleep 1; done'
  const child = spawn('setsid', ['sh', '-c', script, mark], { stdio: ['ignore', 'pipe', 'ignore'] })
  child.unref()
  return new Promise(resolve => child.stdout.once('data', () => resolve()))
}

if (what === 'exit') process.exit(Number(mark))
if (what === 'die') process.kill(process.pid, 'SIGKILL')
if (what === 'answer') process.on('SIGTERM', () => process.exit(42))
if (what === 'stay') await startStubborn()
if (what === 'lab') {
  const lab = await openLab({ nodes: ['n1'], backend: 'nft' }, systemProcesses())
  await lab.addPods([{ name: 'p1', node: lab.node('n1'), kind: 'routed' }])
  await lab.node('n1').iptables(4, ['-A', 'FORWARD', '-j', 'DROP'])
  await startStubborn()
}
console.log(`ready ${process.pid} ${readlinkSync('/proc/self/ns/net')}`)
if (what === 'lab') process.exit(0)
setInterval(() => {}, 1000)
