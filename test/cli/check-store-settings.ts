import t from 'tap'
import { checkStoreSettings } from '../../src/cli/check-store-settings.ts'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { flags } from './support/check-host.ts'

t.test('what only the store says is not known to the gate', { skip: etcdMissing }, async t => {
  const etcd = await startEtcd(t)
  const etcdEndpoints = etcd.endpoint
  const sources = flags({ etcdEndpoints })
  t.same(await checkStoreSettings(sources), [], 'the store says nothing')
  await etcd.ctl('put', '/calico/v1/config/InterfacePrefix', 'cali')
  t.same(await checkStoreSettings(sources), [], 'the store says what holds without it')
  await etcd.ctl('put', '/calico/v1/config/InterfacePrefix', 'gke,veth')
  t.match(await checkStoreSettings(sources), [
    {
      level: 'yellow',
      what: 'interfacePrefixes',
      says: /^\/calico\/v1\/config\/InterfacePrefix in etcd says gke,veth; .* go by cali,/,
      remedy: /^Put interfacePrefixes: gke,veth into the settings file/,
    },
  ])
  t.same(
    await checkStoreSettings(flags({ etcdEndpoints, interfacePrefixes: 'tap' })),
    [],
    'nearer sources win',
  )
  const entries = [{ name: 'interfacePrefixes', raw: ['gke', 'veth'], line: 1 }]
  t.same(await checkStoreSettings({ ...sources, file: { path: '/x.yaml', entries } }), [])
  await etcd.ctl('put', '/calico/v1/host/node1/config/InterfacePrefix', 'tun')
  t.match(await checkStoreSettings(sources), [{ says: /^\/calico\/v1\/host\/node1\/.* says tun;/ }])
  await etcd.ctl('put', '/calico/v1/host/node1/config/InterfacePrefix', 'a b')
  t.match(
    await checkStoreSettings(sources),
    [{ says: /says gke,veth;/ }],
    'one that cannot be read is ignored',
  )
})

t.test('nothing is said where no store can be asked', async t => {
  t.same(await checkStoreSettings(flags({ source: 'files', filesDirectory: '/x' })), [])
  t.same(await checkStoreSettings(flags({ etcdEndpoints: 'http://127.0.0.1:1' })), [])
})
