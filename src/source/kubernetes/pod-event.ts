import { createHash } from 'node:crypto'
import type { CallOptions, KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { apiPath, EVENTS } from './api-path.ts'

/** What people are to read with `kubectl describe pod`. */
export interface PodWarning {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  /** One word in CamelCase, such as BadAnnotation. */
  readonly reason: string
  readonly message: string
  /** The node that tells; absent: the controller does. */
  readonly host?: string
}

const LONGEST_MESSAGE = 1024
/** An object's name has 253 characters at most, and ours adds these. */
const SUFFIX_BYTES = 8

/**
 * Writes one core/v1 Event of type Warning. Its name comes from its words, so that whoever says the same of the same pod
 * again, in this process or in another one, says it once. Throws ApiError.
 */
export async function warnOfPod(
  api: KubernetesApi,
  warning: PodWarning,
  at: Date,
  call: CallOptions = {},
): Promise<void> {
  const { namespace, uid, reason, message } = warning
  const words = createHash('sha256')
    .update(JSON.stringify([uid, reason, message]))
    .digest()
  const event = podEvent(warning, at, words.subarray(0, SUFFIX_BYTES))
  try {
    await api.create(apiPath(EVENTS, { namespace }), event, call)
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error
  }
}

/** The event as the API takes it; `suffix` makes its name one of its own. */
export function podEvent(warning: PodWarning, at: Date, suffix: Buffer): Readonly<Record<string, unknown>> {
  const { namespace, pod, uid, reason, message, host } = warning
  const time = at.toISOString().replace(/\.\d+Z$/, 'Z')
  const stem = pod.slice(0, 253 - 1 - 2 * SUFFIX_BYTES).replace(/[-.]+$/, '')
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name: `${stem}.${suffix.toString('hex')}` },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name: pod, uid },
    type: 'Warning',
    reason,
    message: message.slice(0, LONGEST_MESSAGE),
    source: { component: 'podfence', ...(host === undefined ? {} : { host }) },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  }
}
