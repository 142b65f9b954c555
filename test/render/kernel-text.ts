import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { FAMILIES, type Family } from '../../src/model/values.ts'
import { goto, rule } from '../../src/render/action.ts'
import { HOOKS } from '../../src/render/hooks.ts'
import type { KernelDelta } from '../../src/render/kernel-delta.ts'
import { limit } from '../../src/render/match.ts'
import type { RenderOptions } from '../../src/render/options.ts'
import { ipsetText, restoreText } from '../../src/render/print.ts'
import { rateText } from '../../src/render/rate.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { randomRule } from './fixtures/random-rules.ts'
import {
  BRIDGED,
  bridgedWorld,
  delta,
  effective,
  endpoint,
  net,
  newSet,
  OPTIONS,
  policyList,
  ports,
  profileList,
  profiles,
  routedWorld,
} from './fixtures/worlds.ts'

/**
 * The rendered text goes through the real tools, and iptables-save must print it line by line as it was
 * rendered: on both backends, in both families. Everything happens in a network namespace of its own.
 */
const inside = await enterSandbox()

type Backend = 'nft' | 'legacy'
const BACKENDS: readonly Backend[] = ['nft', 'legacy']
const skip = inside.skip !== false ? inside.skip : missingTool()

function missingTool(): string | false {
  for (const backend of BACKENDS) {
    const found = spawnSync(`iptables-${backend}-save`, ['-V'], { encoding: 'utf8' })
    if (found.error !== undefined) return `needs iptables-${backend}`
    if (!found.stdout.includes('v1.8.9')) return `needs iptables 1.8.9, not ${found.stdout.trim()}`
  }
  return spawnSync('ipset', ['--version']).error === undefined ? false : 'needs ipset'
}

/** This host's names of protocols, as iptables-save takes them. */
function hostProtocols(): Map<number, string> {
  const names = new Map<number, string>()
  for (const line of readFileSync('/etc/protocols', 'utf8').split('\n')) {
    const [name, number] = line.split(/\s+/)
    if (name !== undefined && /^[0-9]+$/.test(number ?? '') && !names.has(Number(number)))
      names.set(Number(number), name)
  }
  return names
}

function run(t: Test, command: string, args: readonly string[], input: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  // Both backends are in use here, which is all that this warning says.
  const complaint = stderr.replace(/^# Warning: ip6?tables-legacy tables present.*\n/m, '')
  if (status !== 0 || complaint !== '') t.fail(`${command} ${args.join(' ')}: ${status} ${complaint}`)
  return stdout
}

/** Our rules as iptables-save prints them: `TABLE -A CHAIN ...`, and our hooks. */
function savedRules(text: string): string[] {
  const lines: string[] = []
  let table = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1)
    else if (line.startsWith('-A podf-') || line.includes('-j podf-')) lines.push(`${table} ${line}`)
  }
  return lines.sort()
}

function renderedRules({ chains }: KernelDelta, family: Family): string[] {
  const lines = HOOKS.map(hook => `${hook.table} -A ${hook.parent} -j ${hook.chain}`)
  for (const chain of chains)
    if (chain.family === family)
      for (const text of chain.rules ?? []) lines.push(`${chain.table} -A ${chain.name} ${text}`)
  return lines.sort()
}

function tool(family: Family, backend: Backend, action: string): string {
  return `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-${action}`
}

/** Loads a delta into every backend and family, compares what is there with it, and takes it out again. */
function comesBackAlike(t: Test, wanted: KernelDelta): void {
  run(t, 'ipset', ['restore'], ipsetText(wanted.sets))
  for (const backend of BACKENDS) {
    for (const family of FAMILIES) {
      const text = restoreText(wanted.chains, family, { hooks: true })
      run(t, tool(family, backend, 'restore'), ['--noflush'], text)
      const saved = savedRules(run(t, tool(family, backend, 'save'), [], ''))
      t.strictSame(saved, renderedRules(wanted, family), `${backend} IPv${family} prints what was rendered`)
      const empty = '*raw\n-F\n-X\nCOMMIT\n*filter\n-F\n-X\nCOMMIT\n'
      run(t, tool(family, backend, 'restore'), ['--noflush'], empty)
    }
  }
  // nf_tables lets go of a set some milliseconds after its last rule.
  for (let tries = 0; tries < 100 && spawnSync('ipset', ['destroy']).status !== 0; tries++)
    spawnSync('sleep', ['0.02'])
}

const LOGGED = { enabled: true, group: 7, perSecond: 300 }

const SETTINGS: Readonly<Record<string, RenderOptions>> = {
  'the defaults': { ...OPTIONS, interfacePrefixes: ['cali', 'tap'] },
  'bridges, return, policy, drop, drop log': {
    ...BRIDGED,
    bridges: ['cbr0', 'cali-br.1'],
    markMask: 0xe0000000,
    onAllow: 'return',
    nodeToWorkload: 'policy',
    workloadToNode: 'drop',
    dropLog: LOGGED,
  },
  'one bridge, policy': { ...BRIDGED, nodeToWorkload: 'policy' },
}

const names = skip === false ? hostProtocols() : new Map<number, string>()

for (const [title, options] of Object.entries(SETTINGS)) {
  t.test(`chains and gate with ${title}`, { skip }, async t => {
    for (const world of [delta(), routedWorld(), bridgedWorld(), sharedWorld()])
      comesBackAlike(t, new Renderer({ ...options, protocolNames: names }).render(world))
    comesBackAlike(t, new Renderer(options).gate())
  })
}

t.test('700 endpoints, in trees as deep as they get', { skip }, async t => {
  comesBackAlike(t, new Renderer(BRIDGED).render(largeWorld()))
})

t.test('rules of every kind, and 400 random ones', { skip }, async t => {
  const sets = ['tag:a', 'tag:b', 'selector:c']
  const random = fc.sample(randomRule(sets), { numRuns: 400, seed: 20260105 })
  const wanted = new Renderer({ ...OPTIONS, dropLog: LOGGED, protocolNames: names }).render(
    delta({
      lists: [profileList('every', 'inbound', everyRule()), policyList('t/random', 'outbound', random)],
      sets: Object.fromEntries(
        sets.map(id => [id, newSet('10.0.0.1', '::1.2.3.4', 'fd00::1', '2001:db8::1')]),
      ),
    }),
  )
  comesBackAlike(t, wanted)
})

t.test('the members of sets', { skip }, async t => {
  const members = ['10.0.0.1', '::1.2.3.4', '::ffff:1.2.3.4', 'fd00::1', '1:0:2::3', '2001:db8:0:1::1']
  const { sets } = new Renderer(OPTIONS).render(delta({ sets: { 'tag:a': newSet(...members) } }))
  run(t, 'ipset', ['restore'], ipsetText(sets))
  const saved = run(t, 'ipset', ['save', '-sorted'], '').split('\n')
  t.same(
    saved
      .filter(line => line.startsWith('add'))
      .map(line => line.split(' ')[2])
      .sort(),
    [...members].sort(),
  )
  t.match(
    saved.find(line => line.startsWith('create podf-cut-6')),
    /^create podf-cut-6 hash:ip,port,ip family inet6 .*maxelem 1048576 timeout 600 /,
  )
  for (const tuple of ['10.0.0.1,tcp:80,10.0.0.2', '10.0.0.1,icmp:echo-request,10.0.0.2'])
    run(t, 'ipset', ['add', 'podf-cut-4', tuple], '')
  run(t, 'ipset', ['destroy'], '')
})

t.test('every rate that can be asked for', { skip }, async t => {
  const rates = new Set(Array.from({ length: 10_000 }, (_, index) => rateText(index + 1)))
  const lines = [...rates].map(rate => rule([limit(rate)], goto('podf-b')))
  for (const backend of BACKENDS) {
    const text = ['*filter', ':podf-a - [0:0]', ':podf-b - [0:0]', ...lines.map(line => `-A podf-a ${line}`)]
    run(t, tool(4, backend, 'restore'), [], `${text.join('\n')}\nCOMMIT\n`)
    const saved = savedRules(run(t, tool(4, backend, 'save'), [], ''))
    t.strictSame(saved, lines.map(line => `filter -A podf-a ${line}`).sort(), backend)
    run(t, tool(4, backend, 'restore'), [], '*filter\n-F\n-X\nCOMMIT\n')
  }
})

function everyRule() {
  const [v4, v6] = [{ families: [4] as const }, { families: [6] as const }]
  return [
    effective('allow'),
    effective('deny', { protocol: 6, srcPorts: ports(0), dstPorts: ports('1:65535') }),
    effective('allow', { protocol: 17 }, { not: { srcPorts: ports('0:5'), dstPorts: ports('6:65534') } }),
    effective(
      'allow',
      { protocol: 6, dstPorts: ports(80, 443) },
      { not: { srcPorts: ports(22, 23, '30:40') } },
    ),
    effective('deny', { protocol: 6, dstPorts: manyPorts(40) }, { not: { srcPorts: manyPorts(31) } }),
    effective('allow', { protocol: 132, dstPorts: ports(5000) }),
    effective('allow', { protocol: 1, icmpType: 8 }, { ...v4, not: { icmpType: 8, icmpCode: 0 } }),
    effective('deny', { protocol: 58, icmpType: 128 }, { ...v6, not: { icmpType: 128, icmpCode: 1 } }),
    effective('next-tier', {}, { not: { protocol: 6, srcSets: ['tag:a'], dstSets: ['tag:b'] } }),
    effective('log', { protocol: 47, srcSets: ['tag:a', 'selector:c'] }, { logPrefix: 'seen' }),
    effective('allow', { srcNet: net('10.0.0.0/8') }, { ...v4, not: { dstNet: net('10.0.0.1') } }),
    effective('allow', { dstNet: net('::1.2.3.4') }, { ...v6, not: { srcNet: net('fe80::/10') } }),
    effective('allow', { protocol: 43 }),
    effective('deny', {}, { not: { protocol: 51 } }),
  ]
}

function manyPorts(count: number) {
  return Array.from({ length: count }, (_, index) => ({ first: 1000 + 2 * index, last: 1000 + 2 * index }))
}

/** One address claimed by several endpoints, told apart or not. */
function sharedWorld() {
  const shared = { addresses4: ['10.65.0.1'], addresses6: ['fd00::1'] }
  return delta({
    endpoints: ['cali1', 'cali2', 'cali2', 'veth1', 'veth1', 'cbr0', 'cbr0'].map((name, index) =>
      endpoint(`n1/o/w${index}/e`, { interface: name, ...shared }),
    ),
  })
}

/** Trees as deep as they get, with a jump from FORWARD into every leaf: nf_tables counts them. */
function largeWorld() {
  const lists = [
    profileList('p', 'inbound', [effective('allow')]),
    profileList('p', 'outbound', [effective('allow')]),
  ]
  const endpoints = Array.from({ length: 700 }, (_, index) => {
    const [level, place] = [Math.floor(index / 17), index % 17]
    const high = level === 0 ? 0n : 1n << BigInt(3 * level + 1)
    const text = (high + BigInt(place)).toString(16).padStart(32, '0')
    return endpoint(`n1/o/w${index}/e`, {
      interface: `cali${index}`,
      addresses4: [`10.${index >> 6}.${index & 63}.${(index * 7) & 255}`],
      addresses6: [text.match(/.{4}/g)!.join(':')],
      ingress: profiles('inbound', 'p'),
      egress: profiles('outbound', 'p'),
    })
  })
  return delta({ lists, endpoints })
}
