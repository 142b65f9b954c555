import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { podfence } from './support/cli.ts'

const { skip } = await enterSandbox()

t.test('closes once, whatever is wrong with settings that are not its own', { skip }, async t => {
  const directory = t.testdir({ 'agent.yaml': 'interfacePrefixes: [veth]\nsource: nowhere\n' })
  const config = ['--config', join(directory, 'agent.yaml'), '--backend', 'nft']
  t.match(await podfence(['gate', ...config]), {
    code: 0,
    out: 'workloads are closed now: IPv4 and IPv6, iptables-nft\n',
  })
  t.match(execFileSync('iptables-nft', ['-S'], { encoding: 'utf8' }), '-A podf-FORWARD -i veth+ -j DROP')
  t.match(await podfence(['gate', ...config]), {
    code: 0,
    out: 'rules of podfence stand already: IPv4 and IPv6\n',
  })
  const told = JSON.parse((await podfence(['gate', ...config, '-o', 'json'])).out)
  t.same(told, { schema: 1, backend: 'nft', closed: [], standing: [4, 6] })
  const place = async () => {
    const said = await podfence(['check', '--source', 'files', '--files-directory', '/', '--backend', 'nft'])
    return /^.*FORWARD \(IPv4\): .*$/m.exec(said.out)?.[0]
  }
  execFileSync('iptables-nft', ['-D', 'FORWARD', '-j', 'podf-FORWARD'])
  t.match(await place(), /^red .* our jump is gone/)
  await podfence(['gate', ...config])
  t.match(await place(), /^green .* our jump is first/)
  t.match(await podfence(['gate', '--interface-prefixes', 'a/b']), {
    code: 2,
    err: /interfacePrefixes|--interface-prefixes/,
  })
  const cleanup = async () => t.equal((await podfence(['cleanup', '--run-dir', directory])).code, 0)
  await cleanup()

  await t.test('what is right only together counts together', async t => {
    const closed = async (text: string, args: string[], env = {}) => {
      const file = join(t.testdir({ 'agent.yaml': text }), 'agent.yaml')
      const all = ['gate', '--config', file, '--backend', 'nft', ...args]
      t.match(await podfence(all, { env }), { code: 0, err: '' })
      const rules = execFileSync('iptables-nft', ['-S'], { encoding: 'utf8' })
      await cleanup()
      return [
        ...new Set([...rules.matchAll(/-A podf-FORWARD -i (\S+) -j DROP/g)].map(([, gate]) => gate)),
      ].sort()
    }
    const prefixes = 'interfacePrefixes: [veth]\n'
    const both = ['cali-br0', 'veth+']
    t.same(await closed(`${prefixes}bridges: [cali-br0]\n`, []), both)
    t.same(await closed(prefixes, ['--bridges', 'cali-br0']), both)
    t.same(await closed(prefixes, [], { PODFENCE_BRIDGES: 'cali-br0' }), both)
    t.same(await closed('interfacePrefixes: []\nbridges: [cbr0]\n', []), ['cbr0'])
  })

  await t.test('what is wrong is named, and closed is what stands without that', async t => {
    const [bad, good] = ['PODFENCE_NODE_TO_WORKLOAD', 'PODFENCE_INTERFACE_PREFIXES']
    for (const { text = 'interfacePrefixes: [veth]\n', env = {}, names, closed } of [
      { text: 'interfacePrefixes: [gke\n', names: 'agent.yaml:2: Flow', closed: 'cali+' },
      {
        text: 'interfacePrefixes: [veth]\nnodeToWorkload: perhaps\n',
        names: 'agent.yaml:2',
        closed: 'veth+',
      },
      {
        text: 'interfacePrefix: [veth]\n',
        names: /agent\.yaml:1: "interfacePrefix" is no setting.*interfacePrefixes/,
        closed: 'cali+',
      },
      { env: { [bad]: 'perhaps' }, names: bad, closed: 'veth+' },
      { env: { [bad]: 'perhaps', [good]: 'gke' }, names: bad, closed: 'gke+' },
      { env: { PODFENCE_INTERFACE_PREFIXS: 'gke' }, names: good, closed: 'veth+' },
      { text: 'etcdPassword: *secret\n', names: 'agent.yaml:1: the value names an anchor', closed: 'cali+' },
      // Right only together, whatever else is wrong.
      {
        text: 'interfacePrefixes: [veth]\nbridges: [cali-br0]\n',
        env: { [bad]: 'perhaps' },
        names: bad,
        closed: 'cali-br0',
      },
      // Each can be read, together they contradict each other.
      { text: 'bridges: [cali0]\n', names: 'The bridge cali0', closed: 'cali+' },
    ]) {
      const file = join(t.testdir({ 'agent.yaml': text }), 'agent.yaml')
      const said = await podfence(['gate', '--config', file, '--backend', 'nft'], { env })
      t.match(said, { code: 2, out: 'workloads are closed now: IPv4 and IPv6, iptables-nft\n', err: names })
      const rules = execFileSync('iptables-nft', ['-S'], { encoding: 'utf8' })
      t.match(rules, `-A podf-FORWARD -i ${closed} -j DROP`)
      await cleanup()
    }
  })
})
