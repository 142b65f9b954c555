import t from 'tap'
import { checkBridges, checkCapabilities, checkLock, checkSysctls } from '../../src/cli/check-host.ts'
import { checkKernel } from '../../src/cli/check-kernel.ts'
import { checkBackend, checkPrograms } from '../../src/cli/check-programs.ts'
import type { Finding } from '../../src/cli/finding.ts'
import type { HostFiles } from '../../src/cli/host-files.ts'
import { table } from '../../src/cli/table.ts'
import type { Ended, Processes, RunOptions } from '../../src/kernel/process.ts'

type Answer = Partial<Ended> | undefined

/** Programs that answer as given; those without an answer are not installed. */
function programs(
  answer: (file: string, args: readonly string[], options?: RunOptions) => Answer,
): Processes {
  const absent: Ended = { code: null, signal: null, stdout: '', stderr: '', timedOut: false, missing: true }
  const never = () => {
    throw new Error('not used')
  }
  return {
    async run(file, args, options) {
      const said = answer(file, args, options)
      return said === undefined ? absent : { ...absent, missing: false, code: 0, ...said }
    },
    start: never,
    stopAll: () => {},
  }
}

function files(texts: Record<string, string>, writable: readonly string[] = []): HostFiles {
  return {
    text: async path => texts[path] ?? null,
    writable: async path => writable.includes(path),
  }
}

function levels(findings: readonly Finding[]): string[] {
  return findings.map(({ what, level }) => `${what} ${level}`)
}

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
  t.match(hl, { what: 'hl (IPv6)', says: /neighbour discovery. such thing/ })
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
