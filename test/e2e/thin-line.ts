import { probeMatrix } from '../../src/lab/matrix.ts'
import { playScenarios } from '../stage.ts'

await playScenarios({ everyBackend: true }, async (t, stage, { families }) => {
  const { lab } = stage
  const [n1, n2] = [lab.node('n1'), lab.node('n2')]
  const pods = await lab.addPods([
    { name: 'web', node: n1, kind: 'routed' },
    { name: 'client', node: n1, kind: 'routed' },
    { name: 'far', node: n2, kind: 'routed' },
    { name: 'stranger', node: n2, kind: 'routed' },
  ])
  for (const pod of pods) await lab.probe.listen(pod, { protocol: 'tcp', port: 80 })
  const [web, client, far, stranger] = pods as [
    (typeof pods)[0],
    (typeof pods)[0],
    (typeof pods)[0],
    (typeof pods)[0],
  ]
  await stage.show({
    endpoints: [
      { pod: web, profiles: ['web'] },
      { pod: client, profiles: ['client'] },
      { pod: far, profiles: ['client'] },
      { pod: stranger, profiles: ['stranger'] },
    ],
    profiles: {
      web: { inbound: [{ action: 'allow', protocol: 'tcp', src_tag: 'client', dst_ports: [80] }] },
      client: { tags: ['client'] },
      stranger: {},
    },
  })

  for (const family of families)
    await t.test(`a tag opens one port and nothing else, IPv${family}`, async t => {
      const ask = (port: number) =>
        probeMatrix(lab.probe, {
          rows: [client, far, stranger],
          columns: [web, client],
          family,
          protocol: 'tcp',
          port,
          expected: (from, to) => (from === to ? true : port === 80 && to === web && from !== stranger),
        })
      const open = await ask(80)
      t.equal(open.wrong.length, 0, open.text)
      t.equal(open.allowed, 3, open.text)
    })
})
