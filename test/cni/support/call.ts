import { runPlugin } from '../../../src/cni/plugin.ts'

export interface Answer {
  readonly exitCode: number
  /** What was printed, as JSON; null when nothing was. */
  readonly printed: Readonly<Record<string, unknown>> | null
  /** The lines of the log. */
  readonly noted: string
}

/** A result of the ptp plugin; the interface of the node that it names is one that every machine has. */
export const RESULT = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'lo', mac: '0a:00:00:00:00:02' },
    { name: 'eth0', mac: '0a:00:00:00:00:01', sandbox: '/run/netns/c1' },
  ],
  ips: [
    { interface: 1, address: '10.1.0.5/24', gateway: '10.1.0.1' },
    { interface: 1, address: 'fd01::5/64' },
  ],
  dns: {},
}

/** What a runtime says of the pod default/web and its container c1. */
export const VARIABLES = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS:
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1',
} as const

/** One call in this process. `given` goes over the configuration, with a prevResult unless that is left out by null. */
export async function call(
  command: string,
  given: Readonly<Record<string, unknown>>,
  variables: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const config = { cniVersion: '1.1.0', name: 'pods', type: 'podfence-cni', prevResult: RESULT, ...given }
  let noted = ''
  const { stdout, exitCode } = await runPlugin(
    { ...VARIABLES, CNI_COMMAND: command, ...variables },
    JSON.stringify(config),
    line => {
      noted += line
    },
  )
  return { exitCode, printed: stdout === '' ? null : JSON.parse(stdout), noted }
}
