import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { KernelDelta } from '../../src/render/kernel-delta.ts'
import { printDelta } from '../../src/render/print.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { BRIDGED, bridgedWorld, OPTIONS, routedWorld } from './fixtures/worlds.ts'

/**
 * Whole worlds as the text that the tools receive. The files were written by hand against the packet path.
 * So that people can write and read them, a hashed name stands there as what it is the hash of
 * (`podf-in-[profile/web]`, `podf-4-[tag:web]`), and a heading's hash as `#`.
 */
function readable(delta: KernelDelta): string {
  const names = new Map<string, string>()
  for (const { name, rules } of delta.chains) {
    const title = /^-s \S+ -m comment --comment "podf:[a-z2-7]{16}:(.*)"$/.exec(rules?.[0] ?? '')?.[1] ?? ''
    if (/^podf-(in|out|from|to)-[a-z2-7]{18,20}$/.test(name))
      names.set(name, `${name.replace(/[a-z2-7]+$/, '')}[${title.replace(/^(in|out|from|to)\//, '')}]`)
  }
  for (const { name, owner } of delta.sets)
    if (/^podf-[46]-/.test(name)) names.set(name, `${name.slice(0, 7)}[${owner}]`)
  return printDelta(delta)
    .replace(/podf-[a-z0-9-]+/g, name => names.get(name) ?? name)
    .replace(/"podf:[a-z2-7]{16}:/g, '"podf:#:')
}

function golden(name: string): string {
  return readFileSync(join(import.meta.dirname, `golden/${name}.txt`), 'utf8')
}

t.test('routed workloads, the defaults', async t => {
  t.equal(readable(new Renderer(OPTIONS).render(routedWorld())), golden('routed'))
})

const STRICT = {
  ...BRIDGED,
  markMask: 0xff,
  onAllow: 'return',
  nodeToWorkload: 'policy',
  workloadToNode: 'drop',
  dropLog: { enabled: true, group: 3, perSecond: 5 },
  cutTimeout: 60,
} as const

t.test('workloads on a bridge, everything strict, with the drop log', async t => {
  t.equal(readable(new Renderer(STRICT).render(bridgedWorld())), golden('bridged-strict'))
})

t.test('the gate', async t => {
  t.equal(readable(new Renderer(STRICT).gate()), golden('gate'))
})
