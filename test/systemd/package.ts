import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { until } from '../until.ts'
import { firewalls, writeUnits } from './support/debian-orders.ts'
import { first, next, pristine, skip } from './support/given.ts'
import { copyTree, Machine } from './support/machine.ts'

const LAB = '/root/lab'
const MAIN = '/usr/lib/podfence/bin/node /usr/lib/podfence/dist/cli/main.js'

t.test('the package among the units and files of Debian', { skip }, async t => {
  const tree = copyTree(pristine, 'package')
  const machine = new Machine(tree)
  t.teardown(() => machine.powerOff())
  const write = (path: string, text: string) => writeFileSync(join(tree, path), text)
  mkdirSync(join(tree, LAB))
  // Nobody listens but what is asked to.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/etcd.service'))
  for (const file of [first, next]) copyFileSync(file, join(tree, LAB, basename(file)))
  const install = (file: string) => machine.attempt(`dpkg -i ${LAB}/${basename(file)}`, 300_000)
  const active = (unit: string) =>
    until(unit, async () => (await machine.property(unit, 'ActiveState')) === 'active')

  await machine.start()
  await machine.booted()
  t.match(await install(first), { code: 0 })

  await t.test('beside each firewall of Debian no unit waits for itself', async t => {
    const verify = async (directory: string) =>
      machine.attempt(`SYSTEMD_UNIT_PATH=${directory}: systemd-analyze verify multi-user.target`)
    for (const firewall of firewalls) {
      writeUnits(join(tree, LAB, firewall), firewall)
      t.same(await verify(`${LAB}/${firewall}`), { code: 0, out: '', err: '' }, firewall)
    }
    // It would be seen.
    mkdirSync(join(tree, LAB, 'shorewall/podfence-gate.service.d'))
    write(`${LAB}/shorewall/podfence-gate.service.d/after.conf`, '[Unit]\nAfter=shorewall.service\n')
    t.match((await verify(`${LAB}/shorewall`)).err, /Found ordering cycle/)
  })

  await t.test('the command line sees what the units run with', async t => {
    write(
      'etc/default/podfence',
      `# PODFENCE_HOST_NAME=comment
; PODFENCE_HOST_NAME=comment
PODFENCE_HOST_NAME='node7'
  PODFENCE_LOG_LEVEL = "warn"
PODFENCE_LOG_LEVEL=error
PODFENCE_FILES_DIRECTORY="/etc/$HOME/$(id) # x"
PODFENCE_ETCD_ENDPOINTS=http://127.0.0.1:1,\\
http://127.0.0.1:2
PODFENCE_CNI_SOCKET=/run/a='b'==
PODFENCE_KUBECONFIG="/a\\b\\"c\\\\d\\$e"
PODFENCE_ETCD_CA='/c\\d'
PODFENCE_K8S_CA=/e\\f\\\\g
PODFENCE_BRIDGES=
PODFENCE_DROP_LOG_GROUP=7`,
    )
    const unit = 'systemd-run --quiet --pipe --wait --property EnvironmentFile=/etc/default/podfence'
    const ofUnit = await machine.run(`${unit} ${MAIN} config -o json`)
    t.match(ofUnit, /node7/)
    t.equal(await machine.run('podfence config -o json'), ofUnit)
    const own = 'PODFENCE_LOG_LEVEL=debug PODFENCE_CNI_SOCKET='
    t.equal(
      await machine.run(`${own} podfence config -o json`),
      await machine.run(`${unit} env ${own} ${MAIN} config -o json`),
    )
    await machine.run('chmod 600 /etc/default/podfence')
    const nobody = 'setpriv --reuid 65534 --regid 65534 --clear-groups'
    t.equal(
      await machine.run(`${nobody} podfence config -o json`),
      await machine.run(`${nobody} ${MAIN} config -o json`),
    )
  })

  await t.test('an agent and a controller run on one node, whatever the ports of the agent', async t => {
    write(
      'etc/default/podfence',
      `PODFENCE_HEALTH_ADDRESS=127.0.0.1:7001
PODFENCE_METRICS_ADDRESS=127.0.0.1:7002
PODFENCE_ETCD_ENDPOINTS=http://127.0.0.1:1
PODFENCE_K8S_API_ROOT=http://127.0.0.1:1
`,
    )
    await machine.run('systemctl enable --now podfence-gate podfence-agent podfence-controller')
    const ports = async () =>
      [...(await machine.run('ss -Hltn')).matchAll(/127\.0\.0\.1:(\d+)/g)]
        .map(([, port]) => Number(port))
        .sort()
    t.same(await ports(), [7001, 7002, 9191, 9199])
    for (const unit of ['agent', 'controller'])
      t.equal(await machine.property(`podfence-${unit}`, 'NRestarts'), '0')
    await machine.run('systemctl disable --now podfence-controller')
  })

  await t.test('an upgrade whose agent does not start ends well and says so', async t => {
    const rules = () => machine.run('iptables-nft-save; ip6tables-nft-save')
    const before = rulesOf(await rules())
    t.match(before, 'podf-FORWARD')
    write('etc/podfence/agent.yaml', 'hostname: node1\n')
    const { code, err } = await install(next)
    t.equal(code, 0)
    t.match(err, /^podfence-agent did not start .*journalctl -u podfence-agent$/m)
    t.notMatch(err, 'podfence-controller did')
    t.match(
      await machine.run('dpkg --status podfence'),
      /^Status: install ok installed\n[\s\S]*^Version: .*next/m,
    )
    t.equal(rulesOf(await rules()), before, 'the rules stand')
    t.match(await machine.run('journalctl -u podfence-agent'), /agent\.yaml.*hostname/)
    write('etc/podfence/agent.yaml', 'hostName: node1\n')
    await active('podfence-agent')
    t.equal(rulesOf(await rules()), before)
  })
})

/** Without what iptables-save tells of itself: times, and counters of built-in chains. */
function rulesOf(saved: string): string {
  return saved.replaceAll(/^#.*\n/gm, '').replaceAll(/\[\d+:\d+\]/g, '')
}
