import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { firewalls, writeUnits } from './support/debian-orders.ts'
import { first, pristine, skip } from './support/given.ts'
import { copyTree, Machine } from './support/machine.ts'

const LAB = '/root/lab'

t.test('the package among the units and files of Debian', { skip }, async t => {
  const tree = copyTree(pristine, 'package')
  const machine = new Machine(tree)
  t.teardown(() => machine.powerOff())
  const write = (path: string, text: string) => writeFileSync(join(tree, path), text)
  mkdirSync(join(tree, LAB))
  // Nobody listens but what is asked to.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/etcd.service'))
  copyFileSync(first, join(tree, LAB, basename(first)))
  const install = (file: string) => machine.attempt(`dpkg -i ${LAB}/${basename(file)}`, 300_000)

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
})
