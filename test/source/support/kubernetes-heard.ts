import type { Test } from 'tap'
import type { ApiAccess } from '../../../src/source/kubernetes/access.ts'
import { anonymousAccess } from '../../../src/source/kubernetes/access.ts'
import type { KubernetesApi } from '../../../src/source/kubernetes/api.ts'
import { openKubernetes } from '../../../src/source/kubernetes/client.ts'
import type { ClientLimits } from '../../../src/source/kubernetes/client-limits.ts'
import {
  KubernetesSource,
  type KubernetesSourceOptions,
} from '../../../src/source/kubernetes/kubernetes-source.ts'
import type { Pace } from '../../../src/source/pace.ts'
import { Heard } from '../heard.ts'
import type { FakeApiServer } from './fake-api-server.ts'

/** A client that ends with the test. */
export function openApi(
  t: Test,
  fake: { readonly url: string },
  access: Partial<ApiAccess> = {},
  limits: Partial<ClientLimits> = {},
): KubernetesApi {
  const api = openKubernetes({ ...anonymousAccess(fake.url), ...access }, limits)
  t.teardown(() => api.close())
  return api
}

/** Tries again at once; what fails is slow enough by itself. */
const QUICK: Pace = {
  wait: async () => void (await new Promise(resolve => setTimeout(resolve, 5))),
  now: () => performance.now(),
  isLong: () => true,
}

/** A source in front of the fake server, with hardly a wait between tries. */
export function listenTo(
  t: Test,
  fake: FakeApiServer,
  options: KubernetesSourceOptions = {},
  limits: Partial<ClientLimits> = {},
  access: Partial<ApiAccess> = {},
): Heard {
  const heard = new Heard(new KubernetesSource(openApi(t, fake, access, limits), { pace: QUICK, ...options }))
  t.teardown(() => heard.stop())
  return heard
}

/** Whether the source has told exactly what the server holds. */
export function agrees(heard: Heard, fake: FakeApiServer): boolean {
  const expected = fake.entries()
  if (heard.entries.size !== expected.size) return false
  for (const [key, text] of expected) if (heard.entries.get(key) !== text) return false
  return true
}

/** Resolves when `condition` holds, whoever makes it so; the test's own time limit ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 5))
}
