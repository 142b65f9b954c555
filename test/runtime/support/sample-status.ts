import type { Status } from '../../../src/runtime/status.ts'

const since = '2026-01-01T00:00:00.000Z'

/** The status of an agent with one endpoint and nothing to complain about. */
export function sampleStatus(changes: Partial<Status> = {}): Status {
  const fine = { healthy: true, reason: null, since }
  return {
    schema: 1,
    version: '0.1.0',
    host: 'node1',
    pid: 42,
    startedAt: since,
    writtenAt: since,
    health: {
      live: { healthy: true, parts: [{ name: 'progress', ...fine }] },
      ready: {
        healthy: true,
        parts: [
          { name: 'sync', ...fine },
          { name: 'apply', ...fine },
          { name: 'source', ...fine },
        ],
      },
    },
    source: { name: 'etcd http://127.0.0.1:2379', connected: true, reason: null },
    sync: { inSync: true, waitingFor: null },
    revision: '17',
    appliedRevision: '17',
    enforcedRevision: '17',
    kernel: {
      backend: 'nft',
      mismatch: null,
      fallbacks: [],
      failure: null,
      lastApply: since,
      lastRefresh: null,
    },
    endpoints: [
      {
        id: 'node1/k8s/default.web/eth0',
        interface: 'cali1',
        addresses: ['10.0.1.1'],
        state: 'enforced',
        reason: null,
        policies: ['profile:web'],
      },
    ],
    rejections: [],
    refused: [],
    short: [],
    policyWarnings: [],
    hostEndpoints: [],
    ignoredConfig: [],
    needRestart: [],
    lastCutScan: null,
    warnings: [],
    ...changes,
  }
}
