import { existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { systemProcesses } from '../../src/kernel/process.ts'
import { standardOutput } from '../../src/runtime/log.ts'
import { releaseMemory } from '../../src/runtime/memory.ts'
import { STATUS_FILE, type Status } from '../../src/runtime/status.ts'
import { playScenarios } from '../stage.ts'
import { until } from '../until.ts'
import { kernelState, openTwin } from './support/kernel-state.ts'
import { edited, openPost } from './support/post.ts'
import { smallDisk } from './support/small-disk.ts'

const LINES = 20_000

/** Bytes of what is still referred to, of objects and of buffers. */
function memoryInUse(): number {
  releaseMemory()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

await playScenarios({ nodes: ['full', 'twin'], agents: false }, async (t, stage, { families }) => {
  await t.test('a log that cannot be written costs no memory', async t => {
    const output = standardOutput(openSync('/dev/full', 'w'))
    const before = memoryInUse()
    for (let line = 0; line < LINES; line++) output.write(`${line} ${'x'.repeat(2000)}\n`)
    const grown = (memoryInUse() - before) / 1e6
    t.ok(grown < 5, `${(LINES * 2000) / 1e6} MB of lines, ${grown.toFixed(1)} MB more in use`)
  })

  const twin = openTwin(stage)
  const processes = systemProcesses()
  const node = stage.lab.node('full')
  const disks = [
    await smallDisk(processes, node.runDirectory),
    // The state directory holds the log as well.
    await smallDisk(processes, node.stateDirectory),
  ]
  t.teardown(async () => {
    for (const disk of disks) await disk.remove()
  })
  const statusFile = `${node.runDirectory}/${STATUS_FILE}`
  const statusInFile = () =>
    existsSync(statusFile) ? (JSON.parse(readFileSync(statusFile, 'utf8')) as Status) : null
  const post = await openPost(stage, 'full', { families })
  await until('status.json is there', () => statusInFile()?.enforcedRevision === String(post.written))

  await t.test('a disk that fills under a living agent', async t => {
    const before = statusInFile()
    for (const disk of disks) disk.fill()
    await post.show(edited('full', 1))
    await post.traffic.goesOn()
    t.equal(statusInFile()?.writtenAt, before?.writtenAt, 'the file of before stands, and whole')
    await post.unharmed(t, 'disk full', twin)
  })

  await t.test('an agent that starts on a full disk', async t => {
    await post.agent.kill()
    // Not even a socket can be made there.
    rmSync(`${node.runDirectory}/agent.sock`)
    for (const disk of disks) disk.fill()
    await post.tell(edited('full', 2))
    post.start()
    const wanted = await twin.stateOf(post)
    await until('it enforces what the store says', async () =>
      isDeepStrictEqual(await kernelState(node), wanted),
    )
    t.equal(await post.status(), null, 'nobody can ask it')
    await post.unharmed(t, 'started on a full disk', twin)
  })

  await t.test('a disk that has room again', async t => {
    for (const disk of disks) disk.free()
    await post.untilStatus('it can be asked again', () => true)
    await post.show(edited('full', 3))
    await until('status.json is up to date', () => statusInFile()?.enforcedRevision === String(post.written))
    await until(
      () => `the log goes on\n${post.agent.log().slice(-2000)}`,
      () => post.agent.log().includes(`applied revision=${post.written}`),
    )
    await post.unharmed(t, 'room again', twin)
  })
})
