import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { until } from '../until.ts'
import { countsOf } from './support/counts.ts'
import { first, next, pristine, skip } from './support/given.ts'
import { PATIENCE_MS } from './support/host.ts'
import { copyTree, Machine } from './support/machine.ts'

const SUPPORT = join(import.meta.dirname, 'support')
const LAB = '/root/lab'

t.test('podfence as a package under systemd', { skip }, async t => {
  const tree = copyTree(pristine, 'used')
  const machine = new Machine(tree)
  /** What came through to the web pod. Waits until it listens. */
  const heard = async () => {
    await until(
      'the web pod',
      async () => (await countsOf(machine, '/run/lab')).web !== undefined,
      PATIENCE_MS,
    )
    return (await countsOf(machine, '/run/lab')).web!.heard
  }
  const rules = () =>
    machine.run('for t in iptables ip6tables; do for b in nft legacy; do $t-$b-save 2>/dev/null; done; done')
  const agent = (property: string) => machine.property('podfence-agent', property)
  const enforcing = async (endpoints = 3) => {
    let said = ''
    const enforces = async () => {
      said = await agent('StatusText')
      return said === `enforcing ${endpoints} workload endpoints`
    }
    await until(() => `enforcing: the agent says "${said}"`, enforces, PATIENCE_MS)
  }
  t.teardown(() => machine.powerOff())

  /** Plays `work` under both flows; afterwards nothing denied has passed, and of the allowed nothing is lost. */
  const underFlows = async (t: Test, work: () => Promise<unknown>) => {
    const before = await countsOf(machine, '/run/lab')
    await work()
    // What was sent meanwhile is told by then.
    await pause(1_000)
    const after = await countsOf(machine, '/run/lab')
    t.ok(after.stranger!.sent > before.stranger!.sent, 'the stranger has sent')
    const [was, { friend, stranger }] = [before.web!.heard.friend, after.web!.heard]
    t.equal(stranger, undefined, 'nothing that is denied has passed')
    t.ok(friend!.packets > (was?.packets ?? 0), 'what is allowed has passed')
    t.equal(friend!.lost, was?.lost ?? 0, 'and none of it is lost')
  }

  mkdirSync(join(tree, LAB), { recursive: true })
  for (const file of ['flow', 'lab.sh', 'policy.yaml'])
    copyFileSync(join(SUPPORT, file), join(tree, LAB, file))
  // The one of Debian's package would be there from the start.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/etcd.service'))
  copyFileSync(join(SUPPORT, 'kubelet.service'), join(tree, 'etc/systemd/system/kubelet.service'))
  for (const file of [first, next]) copyFileSync(file, join(tree, LAB, basename(file)))
  const install = (file: string) => machine.run(`dpkg -i ${LAB}/${basename(file)}`, 300_000)

  await t.test('installing says what the host lacks, and starts nothing', async t => {
    await machine.start()
    t.equal(await machine.booted(), 'running')
    const said = await install(first)
    t.match(said, /What this host has and lacks:\n[\s\S]*iptables: iptables v/)
    t.match(said, /systemctl enable --now podfence-gate podfence-agent/)
    for (const unit of ['gate', 'agent', 'controller'])
      t.match(
        await machine.attempt(`systemctl is-enabled podfence-${unit}; systemctl is-active podfence-${unit}`),
        {
          out: 'disabled\ninactive\n',
        },
      )
    t.notMatch(await rules(), 'podf-')
    t.equal(await machine.run('stat -c "%a %U %G" /run/xtables.lock'), '660 root podfence\n')
    t.match(await machine.run('podfence version; man -w podfence'), /^podfence 0\.[\s\S]*podfence\.8\.gz/)
    const plugin = `CNI_COMMAND=VERSION /usr/lib/cni/podfence-cni <<<'{"cniVersion":"1.0.0"}'`
    t.match(JSON.parse(await machine.run(plugin)), { supportedVersions: Array })
    const complete = (...words: string[]) =>
      machine.run(
        `. /usr/share/bash-completion/completions/podfence; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}
         _podfence; printf '%s\\n' "\${COMPREPLY[@]}"`,
      )
    t.equal(await complete('podfence', 'sta'), 'status\n')
    t.equal(await complete('podfence', 'status', '--wa'), '--wait\n')
  })

  await t.test('the units are sound and hardened', async t => {
    const units = ['gate', 'agent', 'controller'].map(unit => `podfence-${unit}.service`)
    const verified = await machine.attempt(`systemd-analyze verify ${units.join(' ')}`)
    t.same(verified, { code: 0, out: '', err: '' })
    for (const unit of units) {
      const table = await machine.run(`systemd-analyze security --no-pager ${unit} || true`)
      const score = Number(/exposure level for [^:]+: ([\d.]+)/.exec(table)?.[1])
      t.comment(`${unit}: exposure ${score}`)
      t.ok(score < 2, `${unit} is exposed at ${score}`)
    }
  })

  await t.test(
    'a node whose etcd is a workload of its own boots without a stall, closed until in sync',
    async t => {
      writeFileSync(
        join(tree, 'etc/podfence/agent.yaml'),
        'hostName: node1\netcdEndpoints: [http://127.0.0.1:2379]\n',
      )
      // Debian's nftables flushes all rules at boot: the gate must come after it.
      await machine.run('systemctl enable podfence-gate podfence-agent kubelet nftables')
      await machine.powerOff()
      await machine.start()
      t.equal(await machine.booted(), 'running')
      const [gate, network, kubelet] = await Promise.all(
        [
          ['podfence-gate.service', 'ActiveEnterTimestampMonotonic'],
          ['network-pre.target', 'ActiveEnterTimestampMonotonic'],
          ['kubelet.service', 'ExecMainStartTimestampMonotonic'],
        ].map(async ([unit = '', property = '']) => Number(await machine.property(unit, property))),
      )
      t.ok(gate! > 0 && gate! <= network!, 'the gate is closed before the network comes')
      t.ok(gate! <= kubelet!, 'and before workloads start')
      t.match(await agent('StatusText'), /^waiting for etcd http:\/\/127\.0\.0\.1:2379: /)
      t.match(await rules(), /-A podf-FORWARD -o cali\+ -j DROP/)

      await until(
        'etcd',
        async () => (await machine.attempt('podfence get profiles')).code === 0,
        PATIENCE_MS,
      )
      t.same(await heard(), {}, 'nothing has passed the gate')
      await machine.run(`podfence apply -f ${LAB}/policy.yaml`)
      await enforcing()
      await underFlows(t, () =>
        until('the friend', async () => (await heard()).friend !== undefined, PATIENCE_MS),
      )
    },
  )

  await t.test('what the agent tells a systemd that is late to look is not lost', async () => {
    const held = machine.holdSystemd(7)
    await machine.run(`podfence apply -f - <<'END'
apiVersion: podfence/v1
kind: WorkloadEndpoint
metadata: { host: node1, orchestrator: k8s, workload: default.idle, endpoint: eth0 }
spec: { state: active, name: caliidle, profile_ids: [web], ipv4_nets: [10.65.0.4/32], ipv6_nets: [] }
END`)
    await held
    await enforcing(4)
    await machine.run('podfence delete WorkloadEndpoint node1/k8s/default.idle/eth0')
    await enforcing()
  })

  await t.test('the controller is ready at once, and says whom it cannot reach', async t => {
    await machine.run(
      'echo PODFENCE_K8S_API_ROOT=http://127.0.0.1:1 >>/etc/default/podfence; systemctl start podfence-controller',
    )
    await until(
      'its status',
      async () =>
        /kubernetes: .*ECONNREFUSED/.test(await machine.property('podfence-controller', 'StatusText')),
      PATIENCE_MS,
    )
    t.equal(await machine.property('podfence-controller', 'NRestarts'), '0')
    await machine.run('systemctl stop podfence-controller')
  })

  await t.test('a reboot: nothing that is denied passes, from the first packet on', async t => {
    await machine.powerOff()
    const began = uptime()
    await machine.start()
    t.equal(await machine.booted(), 'running')
    await until('the friend', async () => (await heard()).friend !== undefined, PATIENCE_MS)
    await enforcing()
    const { friend, stranger } = await heard()
    t.equal(stranger, undefined)
    t.comment(
      `from the start of the boot to the first allowed packet: ${(friend!.first - began).toFixed(1)} s`,
    )
  })

  await t.test('the agent comes back when it is killed, and when it stands still', async t => {
    await underFlows(t, async () => {
      for (const signal of ['KILL', 'STOP']) {
        const pid = await agent('MainPID')
        await machine.run(`kill -${signal} ${pid}`)
        await until(
          `an agent after SIG${signal}`,
          async () => {
            const now = await agent('MainPID')
            return now !== '0' && now !== pid && (await agent('ActiveState')) === 'active'
          },
          120_000,
        )
        await enforcing()
      }
    })
    t.match(await machine.run('journalctl -u podfence-agent'), /Watchdog timeout/)
  })

  await t.test('an upgrade: rules stand throughout', async t => {
    const pid = await agent('MainPID')
    await underFlows(t, async () => {
      await install(next)
      t.not(await agent('MainPID'), pid, 'it was started anew')
      await enforcing()
    })
  })

  await t.test('stopping leaves the rules; cleanup removes them', async t => {
    await machine.run('systemctl stop podfence-agent')
    t.match(await rules(), 'podf-FORWARD')
    await machine.run('podfence cleanup')
    t.notMatch(await rules(), 'podf-')
  })

  await t.test('on iptables-legacy, as the same user with the same rights', async t => {
    await machine.run(
      'for t in iptables ip6tables; do update-alternatives --set $t /usr/sbin/$t-legacy; done; systemctl restart podfence-agent',
    )
    await enforcing()
    t.match(await machine.run('iptables-legacy -S'), 'podf-FORWARD')
    t.notMatch(await machine.run('iptables-nft -S'), 'podf-')
  })

  await t.test('removing leaves the rules and says so; purging takes them away', async t => {
    t.match(await machine.run('dpkg --remove podfence'), "podfence's rules stay in the kernel")
    t.match(await rules(), 'podf-FORWARD')
    await machine.run('dpkg --purge podfence')
    t.notMatch(await rules(), 'podf-')
    t.equal(
      await machine.run(
        'ipset list -n | grep podf- || true; ls -d /etc/podfence /run/podfence 2>/dev/null || true',
      ),
      '',
    )
  })
})

/** Seconds since the start of the kernel, which the container shares. */
function uptime(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8'))
}
