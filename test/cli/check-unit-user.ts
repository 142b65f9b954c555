import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkUnitUser, READ_SETTINGS, type UnitQuestion } from '../../src/cli/check-unit-user.ts'
import { hostFiles } from '../../src/cli/host-files.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import { SETTING_NAMES, type SettingName, settingOf } from '../../src/runtime/setting-table.ts'
import { files, programs, settings } from './support/check-host.ts'

const USERS = {
  '/etc/passwd': 'root:x:0:0::/root:/bin/sh\npodfence:x:997:996::/:/usr/sbin/nologin\n',
  '/etc/group': 'root:x:0:\npodfence:x:996:\ncerts:x:50:www,podfence\nothers:x:51:podfence2\n',
  '/run/xtables.lock': '',
}

/** setpriv as it answers where the user may do all but these, written `r /x`. */
function refusing(...refused: string[]) {
  return programs((file, args) => {
    if (file !== 'setpriv') return undefined
    const asked = args.slice(args.indexOf('sh', args.indexOf('sh') + 1) + 1)
    const answers = asked.flatMap((right, index) =>
      index % 2 === 0 ? [refused.includes(`${right} ${asked[index + 1]}`) ? 'no\n' : 'yes\n'] : [],
    )
    return { stdout: answers.join('') }
  })
}

const ETCD = { etcdEndpoints: 'https://127.0.0.1:2379', etcdCa: '/etc/podfence/ca.pem' }
const texts = { ...USERS, '/etc/podfence/agent.yaml': '', '/etc/podfence/ca.pem': '' }

function question(given: Partial<UnitQuestion> = {}): UnitQuestion {
  const settingsFile = '/etc/podfence/agent.yaml'
  return {
    processes: refusing(),
    files: files(texts),
    env: {},
    backend: 'legacy',
    settingsFile,
    uid: 0,
    ...given,
  }
}

t.test('nobody asks where there is no such user, or without root', async t => {
  t.same(await checkUnitUser(settings(ETCD), question({ files: files({ ...texts, '/etc/passwd': '' }) })), [])
  t.same(await checkUnitUser(settings(ETCD), question({ uid: 1000 })), [])
})

t.test('what the settings name, as the user of the units reads it', async t => {
  let become: readonly string[] = []
  const watched = programs((_, args) => {
    become = args.slice(0, args.indexOf('sh'))
    return { stdout: 'yes\n'.repeat(6) }
  })
  t.match(await checkUnitUser(settings(ETCD), question({ processes: watched })), [
    { level: 'green', what: 'user podfence', says: /2 paths/ },
  ])
  t.same(become, ['--reuid', '997', '--regid', '996', '--groups', '996,50,0'], "the groups are the units'")

  const found = (refused: string[], given: Partial<UnitQuestion> = {}) =>
    checkUnitUser(settings(ETCD), question({ processes: refusing(...refused), ...given }))
  t.match(await found(['r /etc/podfence/ca.pem']), [
    {
      level: 'red',
      says: /may not read \/etc\/podfence\/ca\.pem$/,
      remedy: 'chgrp podfence /etc/podfence/ca.pem; chmod g+r /etc/podfence/ca.pem',
    },
  ])
  t.match(await found(['r /etc/podfence/agent.yaml']), [{ level: 'red', says: /agent\.yaml$/ }])
  t.match(await found(['x /etc/podfence', 'r /etc/podfence/ca.pem'], { settingsFile: null }), [
    {
      says: /may not read \/etc\/podfence\/ca\.pem, since it may not enter \/etc\/podfence$/,
      remedy: 'chgrp podfence /etc/podfence; chmod g+x /etc/podfence',
    },
  ])
  t.same(
    (
      await found([], {
        files: files(
          { ...texts, '/etc/podfence/ca.pem': '' },
          [],
          {},
          { '/etc/podfence/ca.pem': '/home/me/ca.pem' },
        ),
      })
    ).map(({ level, says, remedy }) => `${level} ${says} ${remedy}`),
    [
      'red the units run as it, and do not see /etc/podfence/ca.pem (/home/me/ca.pem): their ProtectHome hides /home ' +
        'Move it to /etc/podfence, readable by the group podfence.',
    ],
    'a link to where the units do not see, whoever may read it',
  )
  const linked = files(texts, [], {}, { '/etc/podfence/ca.pem': '/opt/y/ca.pem' })
  t.match(
    await found(['r /etc/podfence/ca.pem'], { files: linked }),
    [{ level: 'red', says: /may not read \/etc\/podfence\/ca\.pem/ }],
    'a link on the way leads through a directory that it may not enter',
  )
  const { '/etc/podfence/ca.pem': _, ...absent } = texts
  t.match(await found([], { files: files(absent) }), [{ level: 'green', says: /1 paths/ }])
  t.match(await found(['w /run/xtables.lock']), [
    { level: 'red', says: /may not write \/run\/xtables\.lock/, remedy: /systemd-tmpfiles/ },
  ])
  t.match(
    await found(['w /run/xtables.lock'], { backend: 'nft' }),
    [{ level: 'green' }],
    'iptables-nft takes no lock',
  )
  t.match(await found([], { processes: programs(() => undefined) }), [
    { level: 'yellow', says: /setpriv is not installed/, remedy: /ca\.pem/ },
  ])
  t.match(await found([], { processes: programs(() => ({ code: 1, stderr: 'setpriv: no\n' })) }), [
    { level: 'yellow', says: /setpriv: no/ },
  ])
})

t.test('a directory of objects, and what is in it', async t => {
  const ofFiles = settings({ source: 'files', filesDirectory: '/policy' })
  const there = files({ ...texts, '/policy/a.yaml': '', '/policy/notes': '' }, [], {
    '/policy': ['.b.yaml', 'a.yaml', 'notes'],
  })
  const found = (...refused: string[]) =>
    checkUnitUser(ofFiles, question({ files: there, processes: refusing(...refused) }))
  t.match(await found('r /policy/notes'), [{ level: 'green', says: /3 paths/ }])
  t.match(await found('r /policy/a.yaml'), [{ level: 'red', says: /\/policy\/a\.yaml$/ }])
  t.match(await found('r /policy'), [{ level: 'red', remedy: 'chgrp podfence /policy; chmod g+xr /policy' }])
})

t.test('a kubeconfig, and what it names', async t => {
  const client = { 'client-certificate': 'cert.pem', 'client-key': '/keys/key.pem' }
  const config = {
    'current-context': 'x',
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
    clusters: [{ name: 'x', cluster: { server: 'https://127.0.0.1:6443' } }],
    users: [{ name: 'x', user: client }],
  }
  const directory = t.testdir({ kubeconfig: JSON.stringify(config) })
  const kubeconfig = join(directory, 'kubeconfig')
  const cert = join(directory, 'cert.pem')
  const links = { [kubeconfig]: '/k', [cert]: '/c' }
  const there = files({ ...texts, [kubeconfig]: '', [cert]: '', '/keys/key.pem': '' }, [], {}, links)
  const found = await checkUnitUser(
    settings({ source: 'kubernetes', kubeconfig }),
    question({ files: there, processes: refusing('r /c', 'r /k', 'r /keys/key.pem') }),
  )
  t.equal(found.length, 3)
  t.match(found[2], { level: 'red', says: /\/keys\/key\.pem$/ })
})

t.test('every setting that is a path is either read or made by the agent', t => {
  const read: readonly SettingName[] = Object.values(READ_SETTINGS).flat()
  const paths = SETTING_NAMES.filter(name => settingOf(name).kind.form.startsWith('absolute path'))
  t.same(
    paths.filter(name => !read.includes(name)),
    ['runDir', 'cniSocket'],
  )
  t.end()
})

t.test("this kernel's own answer", async t => {
  // Not below /tmp, which the units do not see.
  const directory = mkdtempSync('/dev/shm/podfence-unit-')
  t.teardown(() => rmSync(directory, { recursive: true }))
  chmodSync(directory, 0o755)
  const ca = join(directory, 'ca.pem')
  const link = join(directory, 'link.pem')
  writeFileSync(ca, '')
  symlinkSync(ca, link)
  const lock = join(directory, 'lock')
  writeFileSync(lock, '')
  chmodSync(lock, 0o666)
  const own = {
    ...hostFiles,
    text: async (path: string) => texts[path as keyof typeof texts] ?? hostFiles.text(path),
  }
  const found = async (path: string) =>
    checkUnitUser(settings({ ...ETCD, etcdCa: path }), {
      processes: systemProcesses(),
      files: own,
      env: { XTABLES_LOCKFILE: lock },
      backend: 'legacy',
      settingsFile: null,
      uid: 0,
    })
  chmodSync(ca, 0o600)
  if ((await found(ca))[0]?.level === 'yellow') {
    t.not(process.getuid?.(), 0, 'only root can ask')
    return
  }
  for (const path of [ca, link])
    t.match(await found(path), [
      { level: 'red', says: path, remedy: `chgrp podfence ${ca}; chmod g+r ${ca}` },
    ])
  chmodSync(ca, 0o640)
  t.match(await found(ca), [{ level: 'green' }], "root's group is the units' as well")
  chownSync(ca, 0, 12345)
  t.match(await found(ca), [{ level: 'red' }])
  chownSync(ca, 0, 996)
  t.match(await found(link), [{ level: 'green' }])
  const inner = join(directory, 'inner')
  mkdirSync(inner, { mode: 0o700 })
  chownSync(inner, 1, 12345)
  writeFileSync(join(inner, 'ca.pem'), '')
  t.match(await found(join(inner, 'ca.pem')), [{ level: 'red', says: /may not enter .*inner$/ }])
  chmodSync(lock, 0o600)
  t.match(await found(ca), [{ level: 'red', says: /lock of iptables/ }])
})
