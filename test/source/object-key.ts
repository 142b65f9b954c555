import t from 'tap'
import { objectKey, parseObjectKey } from '../../src/source/kubernetes/object-key.ts'

t.test('a key is read as it was written', async t => {
  for (const [resource, namespace, name] of [
    ['pods', 'production', 'db.0'],
    ['networkpolicies', 'production', 'allow'],
    ['namespaces', '', 'production'],
    ['nodes', '', 'n1'],
  ] as const)
    t.same(parseObjectKey(objectKey(resource, namespace, name)), { resource, namespace, name })
})

t.test('other texts are no keys', async t => {
  for (const text of [
    '',
    '/calico/v1/Ready',
    '/kubernetes/pods/a',
    '/kubernetes/pods/a/b/c',
    '/kubernetes/secrets/a/b',
    '/kubernetes/pods//b',
    '/kubernetes/namespaces/',
  ])
    t.equal(parseObjectKey(text), null, text)
})
