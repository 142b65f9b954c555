import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { checkClock } from '../../src/cli/check-clock.ts'
import { checkBridges, checkCapabilities, checkLock, checkSysctls } from '../../src/cli/check-host.ts'
import { checkInterfaces } from '../../src/cli/check-interfaces.ts'
import { checkKernel } from '../../src/cli/check-kernel.ts'
import { checkPlace } from '../../src/cli/check-place.ts'
import { checkBackend, checkPrograms } from '../../src/cli/check-programs.ts'
import { checkSource } from '../../src/cli/check-source.ts'
import { table } from '../../src/cli/table.ts'
import { type Answer, files, levels, programs, settings } from './support/check-host.ts'

t.test('programs: there, missing, broken', async t => {
  const found = await checkPrograms(
    programs(file => {
      if (file === 'ipset') return { stdout: 'ipset v7.17\n' }
      if (file === 'conntrack') return { code: 127, stderr: 'no shared library\n' }
      return undefined
    }),
  )
  t.same(levels(found), ['ipset green', 'conntrack red', 'nft yellow'])
  t.match(found[1], { says: 'does not run: no shared library', remedy: String })
})

t.test('backend: none, a missing tool, a mismatch', async t => {
  const none = await checkBackend(
    programs(() => undefined),
    'auto',
  )
  t.equal(none.backend, null)
  t.same(levels(none.findings), ['iptables red'])
  const half = await checkBackend(
    programs((file, args) => {
      if (file === 'iptables') return { stdout: 'iptables v1.8.9 (nf_tables)\n' }
      if (args.includes('-S')) return { code: 1 }
      return file.startsWith('ip6tables') ? undefined : {}
    }),
    'auto',
  )
  t.equal(half.backend, 'nft')
  t.same(levels(half.findings), [
    'iptables green',
    'ip6tables-nft-restore red',
    'ip6tables-nft-save red',
    'backend green',
  ])
  const hints = programs((file, args) => {
    if (file === 'iptables') return { stdout: 'iptables v1.8.9 (legacy)\n' }
    const chains = 'table ip mangle {\n\tchain KUBE-IPTABLES-HINT {\n\t}\n}\n'
    return file === 'nft' ? { stdout: chains } : args.includes('-S') ? { code: 1 } : {}
  })
  const mismatch = await checkBackend(hints, 'auto')
  t.equal(mismatch.backend, 'legacy')
  t.match(mismatch.findings.at(-1), { level: 'yellow', what: 'backend', remedy: /Set backend to nft/ })
  const former = programs((file, args) => {
    if (file === 'iptables') return { stdout: 'iptables v1.8.9 (legacy)\n' }
    if (args.includes('-S')) return { code: 1 }
    const ours = '*filter\n:podf-FORWARD - [0:0]\n-A FORWARD -j podf-FORWARD\nCOMMIT\n'
    return { stdout: file === 'ip6tables-nft-save' ? ours : '' }
  })
  t.match((await checkBackend(former, 'auto')).findings.at(-1), {
    level: 'yellow',
    what: 'iptables-nft',
    says: /earlier run/,
    remedy: /removes them once its rules stand in legacy/,
  })
})

t.test('kernel: all works, something does not, no namespace', async t => {
  /** Plays the script: says ok to each probe but those whose line matches. */
  const kernel = (broken: RegExp) =>
    programs((_, args) => {
      const lines = args
        .at(-1)!
        .split('\n')
        .filter(line => line.startsWith('said='))
      const answers = lines.map((line, index) =>
        broken.test(line) ? `${index} no such thing` : `${index} ok`,
      )
      return { stdout: ['began', ...answers, ''].join('\n') }
    })
  t.same(levels(await checkKernel(kernel(/^$/), 'nft')), ['kernel green'])
  t.same(levels(await checkKernel(kernel(/rpfilter|NFLOG|hash:ip,port,ip/), 'legacy')), [
    'hash:ip,port,ip (IPv4) red',
    'hash:ip,port,ip (IPv6) red',
    'rpfilter (IPv4) red',
    'rpfilter (IPv6) red',
    'NFLOG (IPv4) yellow',
    'NFLOG (IPv6) yellow',
  ])
  const [hl] = await checkKernel(kernel(/--hl-eq/), 'nft')
  t.match(hl, {
    what: 'hl (IPv6)',
    says: /neighbour discovery. such thing/,
    remedy: /modprobe -a nft_compat xt_hl/,
  })
  const rpfilter = await checkKernel(kernel(/rpfilter/), 'legacy')
  t.match(rpfilter, [
    { remedy: /modprobe -a iptable_raw ipt_rpfilter/ },
    { remedy: /modprobe -a ip6table_raw ip6t_rpfilter/ },
  ])
  const cut = programs(() => ({ code: 137, stdout: 'began\n0 ok\n' }))
  t.ok((await checkKernel(cut, 'nft')).length > 20, 'a probe without an answer failed')
  t.same(
    levels(
      await checkKernel(
        programs(() => undefined),
        'nft',
      ),
    ),
    ['kernel yellow'],
  )
  const denied = programs(() => ({ code: 1, stderr: 'unshare: Operation not permitted\n' }))
  t.match(await checkKernel(denied, 'nft'), [{ level: 'yellow', says: /Operation not permitted/ }])
})

t.test('the probe never uses physdev, which would load br_netfilter for the whole host', async t => {
  let script = ''
  await checkKernel(
    programs((_, args) => {
      script = args.at(-1)!
      return {}
    }),
    'legacy',
  )
  t.match(script, 'ip6tables-legacy-restore --noflush')
  t.notMatch(script, 'physdev')
})

t.test('capabilities', async t => {
  const status = (bits: string) => files({ '/proc/self/status': `Name:\tnode\nCapEff:\t${bits}\n` })
  t.same(levels(await checkCapabilities(status('000001ffffffffff'))), [
    'CAP_NET_ADMIN green',
    'CAP_NET_RAW green',
  ])
  t.same(levels(await checkCapabilities(status('0000000000001000'))), [
    'CAP_NET_ADMIN green',
    'CAP_NET_RAW red',
  ])
  t.same(levels(await checkCapabilities(files({}))), ['CAP_NET_ADMIN red', 'CAP_NET_RAW red'])
})

t.test('sysctls and the bridge filter', async t => {
  const v4 = '/proc/sys/net/ipv4/ip_forward'
  t.same(levels(await checkSysctls(files({ [v4]: '1\n' }))), [
    'IPv4 forwarding green',
    'IPv6 forwarding yellow',
  ])
  const calls = '/proc/sys/net/bridge/bridge-nf-call-'
  const bridges = { bridges: ['cbr0'] }
  t.same(await checkBridges(files({}), { bridges: [] }), [], 'nobody asks where there is no bridge')
  t.match(await checkBridges(files({}), bridges), [{ level: 'red', says: /off for IPv4 and IPv6/ }])
  t.match(await checkBridges(files({ [`${calls}iptables`]: '1\n', [`${calls}ip6tables`]: '0\n' }), bridges), [
    { level: 'red', says: /off for IPv6:/, remedy: /modprobe br_netfilter/ },
  ])
  const on = files({ [`${calls}iptables`]: '1\n', [`${calls}ip6tables`]: '1\n' })
  t.match(await checkBridges(on, bridges), [{ level: 'green' }])
})

t.test('the lock of all users of iptables', async t => {
  t.match(await checkLock(files({}, ['/run']), {}), { level: 'green', says: '/run/xtables.lock can be made' })
  t.match(await checkLock(files({ '/run/xtables.lock': '' }, ['/run']), {}), { level: 'red' })
  const own = { XTABLES_LOCKFILE: '/x/lock' }
  t.match(await checkLock(files({ '/x/lock': '' }, ['/x/lock']), own), { level: 'green' })
})

t.test('who else decides in FORWARD, and in which order', async t => {
  const forward = (...rules: string[]) =>
    programs(() => ({ stdout: ['*filter', ':FORWARD ACCEPT [0:0]', ...rules, 'COMMIT', ''].join('\n') }))
  const found = async (...rules: string[]) => (await checkPlace(forward(...rules), 'nft'))[0]
  t.match(await found(), {
    level: 'green',
    what: 'FORWARD (IPv4)',
    says: /no jump of ours yet.*there now: nothing/,
  })
  t.match(await found('-A FORWARD -j podf-FORWARD', '-A FORWARD -j KUBE-FORWARD', '-A FORWARD -j ACCEPT'), {
    level: 'green',
    says: 'our jump is first; after it: KUBE-FORWARD, ACCEPT',
  })
  const docker = '-A FORWARD -m conntrack --ctstate NEW -j DOCKER-USER'
  t.match(await found(docker, docker, '-A FORWARD -m limit', '-A FORWARD -j podf-FORWARD'), {
    level: 'yellow',
    says: 'these decide before us: DOCKER-USER (2 rules), no target; after us: nothing',
  })
  t.match(await found(':podf-FORWARD - [0:0]', '-A FORWARD -j KUBE-FORWARD'), {
    level: 'red',
    says: /^our jump is gone.*open.*there now: KUBE-FORWARD$/,
    remedy: /podfence gate/,
  })
  const unreadable = await checkPlace(
    programs(() => ({ code: 4, stderr: 'Permission denied\n' })),
    'legacy',
  )
  t.same(levels(unreadable), ['FORWARD (IPv4) red', 'FORWARD (IPv6) red'])
})

t.test('the interfaces that are workloads, and whether an agent knows whose', async t => {
  const given = { interfacePrefixes: ['cali', 'veth'], bridges: [] as string[], runDir: '/run/podfence' }
  const links = (names: readonly string[], status?: unknown) => {
    const texts = status === undefined ? {} : { '/run/podfence/status.json': JSON.stringify(status) }
    return files(texts as Record<string, string>, [], { '/sys/class/net': names })
  }
  t.match(await checkInterfaces(given, links(['lo', 'eth0'])), {
    level: 'yellow',
    says: 'none is named cali*, veth*, and no bridge is set',
  })
  t.match(await checkInterfaces(given, links(['cali1', 'lo', 'veth2'])), {
    level: 'green',
    says: /^2 named .*no agent has told/,
  })
  const status = { endpoints: [{ interface: 'cali1' }, { interface: null }] }
  t.match(await checkInterfaces(given, links(['cali1', 'lo'], status)), {
    level: 'green',
    says: /each has its endpoint/,
  })
  const named = { endpoints: [{ interface: 'cali1' }] }
  t.match(await checkInterfaces(given, links(['cali1', 'veth2'], named)), {
    level: 'yellow',
    says: /1 without an endpoint are closed: veth2$/,
  })
  const nameless = { endpoints: [{ interface: 'cali1' }, { interface: null }, { interface: null }] }
  t.match(await checkInterfaces(given, links(['cali1', 'veth2', 'veth3'], nameless)), {
    level: 'green',
    says: /^3 named .*; 2 endpoints are told by their addresses$/,
  })
  t.match(await checkInterfaces(given, links(['cali1', 'lo'], nameless)), {
    level: 'green',
    says: /^1 named .*; each has its endpoint; 2 endpoints are told by their addresses$/,
  })
  t.match(await checkInterfaces(given, links(['cali1', 'veth2', 'veth3', 'veth4'], nameless)), {
    level: 'yellow',
    says: /; 2 endpoints are told by their addresses; at least 1 without an endpoint are closed, among: veth2, veth3, veth4$/,
  })
  const bridged = { ...given, bridges: ['cbr0'] }
  for (const name of [null, 'cbr0'])
    t.match(
      await checkInterfaces(bridged, links(['cbr0', 'lo'], { endpoints: [{ interface: name }] })),
      {
        level: 'yellow',
        says: /^0 named .*; bridges: cbr0; .*endpoints whose bridge port is not known: 1; any port/,
        remedy: /podfence-cni/,
      },
      'a port may use the addresses of another',
    )
  t.match(await checkInterfaces(bridged, links(['cbr0', 'cali1', 'veth2'], status)), {
    level: 'yellow',
    says: /1 endpoint is told by their addresses; unless one of these hangs on it, closed: veth2; .*not known: 1;/,
  })
  const onBridge = { endpoints: [{ interface: 'cbr0' }] }
  t.match(await checkInterfaces(bridged, links(['cbr0', 'cali1'], onBridge)), {
    level: 'yellow',
    says: /1 without an endpoint are closed: cali1; .*not known: 1;/,
  })
  t.match(await checkInterfaces(bridged, links(['cbr0'], { endpoints: [{ interface: 'veth7' }] })), {
    level: 'green',
  })
  t.match(await checkInterfaces({ ...given, bridges: ['cbr0'] }, links(['lo'])), {
    level: 'yellow',
    says: 'there is no cbr0 yet',
  })
})

t.test('the clock', async t => {
  const saying = (answer: Answer) => checkClock(programs(() => answer))
  t.match(await saying({ stdout: 'yes\n' }), { level: 'green' })
  t.match(await saying({ stdout: 'no\n' }), { level: 'yellow', remedy: /chrony/ })
  t.match(await saying(undefined), { level: 'green', says: /does not tell/ })
})

t.test('the source: files and Kubernetes', async t => {
  const ofFiles = settings({ source: 'files', filesDirectory: '/policy' })
  t.match(await checkSource(ofFiles, files({}), {}), { level: 'red', what: 'files' })
  t.match(await checkSource(ofFiles, files({}, [], { '/policy': ['a.yaml'] }), {}), { level: 'green' })
  const nowhere = settings({ source: 'kubernetes' })
  t.match(await checkSource(nowhere, files({}), {}), {
    level: 'red',
    says: /how to reach the Kubernetes API/,
  })
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    const denied = request.url!.includes('networkpolicies') && request.headers.authorization !== 'Bearer good'
    response.statusCode = denied ? 403 : 200
    response.end(
      JSON.stringify(denied ? { kind: 'Status', reason: 'Forbidden', message: 'no' } : { items: [] }),
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const k8sApiRoot = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const there = settings({ source: 'kubernetes', k8sApiRoot })
  t.match(await checkSource(there, files({}), {}), {
    level: 'red',
    says: /403 Forbidden/,
    remedy: /ClusterRole/,
  })
  t.equal(asked.length, 3)
  const token = join(t.testdir({ token: 'good' }), 'token')
  const right = settings({ source: 'kubernetes', k8sApiRoot, k8sAuthTokenFile: token })
  t.match(await checkSource(right, files({}), {}), { level: 'green', what: 'kubernetes' })
})

t.test('tables: colours take no width, control characters nothing at all', t => {
  const text = table(
    ['A', 'BB'],
    [
      ['\u001b[31mred\u001b[39m', 'x'],
      ['y', 'a\u001b[2Jb\nc'],
    ],
  )
  t.equal(text, 'A    BB\n\u001b[31mred\u001b[39m  x\ny    a [2Jb c')
  t.end()
})
