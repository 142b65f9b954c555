import { type Setting, scaled, setting } from './setting.ts'
import {
  choice,
  duration,
  etcdUrl,
  integer,
  type Listen,
  list,
  listen,
  markMask,
  onOff,
  optional,
  text,
  unshown,
} from './setting-kinds.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const path = text('absolute path', /^\/[^\p{Cc}]*$/u)
const apiRoot = text('URL', /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/)
const objectName = text('name of a Kubernetes object', /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/)
const interfaceName = text('interface name', /^[A-Za-z0-9_.-]{1,15}$/)
/** One character is left for the `+` that iptables wants behind it. */
const interfacePrefix = text('interface name prefix', /^[A-Za-z0-9_.-]{1,14}$/)

function loopback(port: number): Listen | null {
  return { host: '127.0.0.1', port }
}

/**
 * Every setting there is, in the order in which people meet them. The name makes the flag and the
 * variable: `etcdEndpoints` is `--etcd-endpoints` and `PODFENCE_ETCD_ENDPOINTS`.
 */
export const SETTINGS = {
  hostName: setting(text('host name', /^[A-Za-z0-9_.-]{1,253}$/), {
    default: host => host.hostname,
    doc: "This node's name in the store.",
  }),
  source: setting(choice('etcd', 'kubernetes', 'files'), {
    default: 'etcd',
    doc: 'Where policy comes from.',
  }),
  filesDirectory: setting(optional(path), {
    default: null,
    doc: 'Directory of YAML objects, for `source: files`.',
  }),
  etcdEndpoints: setting(list(etcdUrl), {
    default: ['http://127.0.0.1:2379'],
    doc: 'etcd servers.',
  }),
  etcdCa: setting(optional(path), {
    default: null,
    doc: "File with the CA that signed the servers' certificates.",
  }),
  etcdCert: setting(optional(path), { default: null, doc: 'File with the client certificate.' }),
  etcdKey: setting(optional(path), { default: null, doc: "File with the client certificate's key." }),
  etcdUser: setting(optional(text('name')), { default: null, doc: 'etcd user.' }),
  etcdPassword: setting(optional(unshown(text('password'))), {
    default: null,
    doc: "The etcd user's password; better a file.",
    secret: true,
  }),
  etcdPasswordFile: setting(optional(unshown(path)), {
    default: null,
    doc: "File with the etcd user's password.",
  }),
  kubeconfig: setting(optional(path), {
    default: null,
    doc: "File that says how to reach the Kubernetes API; without it and `k8sApiRoot`, the pod's own service account.",
  }),
  k8sApiRoot: setting(optional(apiRoot), {
    default: null,
    doc: 'Location of the Kubernetes API, such as `https://10.100.0.1:443/api/v1/`; the path is left out.',
  }),
  k8sAuthToken: setting(optional(unshown(text('token'))), {
    default: null,
    doc: 'Bearer token for the Kubernetes API; better a file.',
    secret: true,
  }),
  k8sAuthTokenFile: setting(optional(unshown(path)), {
    default: null,
    doc: 'File with the bearer token; read again when it changes.',
  }),
  k8sCa: setting(optional(path), {
    default: null,
    doc: "File with the CA that signed the API servers' certificates.",
  }),
  annotationPolicy: setting(onOff, {
    default: false,
    doc: 'Whether annotations of pods are policy, and pods without one keep to the default policy.',
  }),
  defaultPolicy: setting(choice('isolate', 'allow'), {
    default: 'isolate',
    doc: 'What a pod without an annotation accepts under annotation policy: its own namespace, or everything.',
  }),
  annotationCombine: setting(choice('narrow', 'add'), {
    default: 'narrow',
    doc: 'Where a NetworkPolicy isolates an annotated pod: both must allow, or either.',
  }),
  leaseName: setting(objectName, {
    default: 'podfence-controller',
    doc: 'The Lease by which one of several controllers writes.',
  }),
  leaseNamespace: setting(optional(objectName), {
    default: null,
    doc: 'Namespace of the Lease; when empty the one that the controller runs in, else kube-system.',
  }),
  leaseDuration: setting(duration(3 * SECOND, 10 * MINUTE), {
    default: 15 * SECOND,
    doc: 'After how long without a sign of the controller that writes another one takes over.',
  }),
  sourceGrace: setting(duration(0, 24 * HOUR), {
    default: 60 * SECOND,
    doc: 'How long the store may be away before the agent calls itself unready.',
    live: true,
  }),
  interfacePrefixes: setting(list(interfacePrefix), {
    default: ['cali'],
    doc: 'Interfaces whose names start so are workloads.',
    store: { key: 'InterfacePrefix', value: ({ value }) => value as readonly string[] },
  }),
  bridges: setting(list(interfaceName), { default: [], doc: 'Bridges that carry workloads, such as cbr0.' }),
  backend: setting(choice('auto', 'nft', 'legacy'), {
    default: 'auto',
    doc: 'Which iptables to use; `auto` takes what `iptables -V` names.',
  }),
  markMask: setting(markMask, {
    default: 0xff000000,
    doc: 'Bits of the packet mark that podfence may use; the lowest three are used.',
    store: scaled('IptablesMarkMask', 1),
  }),
  onAllow: setting(choice('accept', 'return'), {
    default: 'accept',
    doc: 'What becomes of an allowed packet in FORWARD; `return` lets later rules decide too.',
    live: true,
  }),
  nodeToWorkload: setting(choice('allow', 'policy'), {
    default: 'allow',
    doc: "The node's own traffic to its workloads: always let through, or judged by their policy.",
    live: true,
  }),
  workloadToNode: setting(choice('allow', 'drop'), {
    default: 'allow',
    doc: "Workloads' traffic to their own node, DHCP and DNS included: as their policy has it, or dropped.",
    store: {
      key: 'DefaultEndpointToHostAction',
      // RETURN and ACCEPT both mean: let through, as far as the workload's own policy does.
      value: ({ value }) => (value === 'DROP' ? 'drop' : 'allow'),
      unreadable: 'drop',
    },
    live: true,
  }),
  dropLog: setting(onOff, { default: false, doc: 'Send dropped packets to NFLOG.', live: true }),
  dropLogGroup: setting(integer(0, 65_535), {
    default: 100,
    doc: 'NFLOG group of dropped packets.',
    live: true,
  }),
  dropLogPerSecond: setting(integer(1, 10_000), {
    default: 10,
    doc: 'At most so many logged drops a second from each rule.',
    live: true,
  }),
  refreshInterval: setting(duration(0, 24 * HOUR), {
    default: 180 * SECOND,
    doc: 'How often the kernel is read back in full and repaired.',
    store: scaled('IptablesRefreshInterval', SECOND),
    live: true,
  }),
  driftMonitor: setting(onOff, {
    default: true,
    doc: 'Watch for foreign changes of our chains and repair them: at once on nft, within seconds on legacy (filter table).',
  }),
  maxSetSize: setting(integer(1, 16_777_216), {
    default: 1_048_576,
    doc: 'Most members of one set.',
    store: scaled('MaxIpsetSize', 1),
  }),
  cut: setting(onOff, {
    default: true,
    doc: 'Cut open connections that a change forbids.',
  }),
  cutTimeout: setting(duration(10 * SECOND, HOUR), {
    default: 600 * SECOND,
    doc: 'How long a cut connection may not come back.',
  }),
  runDir: setting(path, { default: '/run/podfence', doc: 'Directory of agent.sock and status.json.' }),
  cniSocket: setting(optional(path), {
    default: null,
    doc: 'Socket of the CNI plugin; cni.sock in `runDir` when empty.',
  }),
  healthAddress: setting(listen, {
    default: loopback(9099),
    doc: 'Serves /liveness and /readiness.',
  }),
  metricsAddress: setting(listen, {
    default: loopback(9091),
    doc: 'Serves /metrics for Prometheus.',
  }),
  logLevel: setting(choice('trace', 'debug', 'info', 'warn', 'error', 'fatal'), {
    default: 'info',
    doc: 'Least level that is logged; `debug` shows the text that the kernel gets.',
    live: true,
  }),
  logFormat: setting(choice('auto', 'json', 'text'), {
    default: 'auto',
    doc: '`auto` is text on a terminal, else JSON.',
  }),
  statusInterval: setting(duration(0, 24 * HOUR), {
    default: 30 * SECOND,
    doc: 'How often the agent writes its status keys to etcd.',
    store: scaled('ReportingIntervalSecs', SECOND),
  }),
  statusTtl: setting(duration(SECOND, 24 * HOUR), {
    default: 90 * SECOND,
    doc: 'How long a status key outlives its agent.',
    store: scaled('ReportingTTLSecs', SECOND),
  }),
  endpointReporting: setting(onOff, {
    default: false,
    doc: "Write each workload endpoint's state to etcd.",
  }),
  endpointReportingDelay: setting(duration(0, HOUR), {
    default: SECOND,
    doc: "Least time between two writes of one endpoint's state.",
  }),
  cleanupOnExit: setting(onOff, {
    default: false,
    doc: 'Remove all rules and sets when the agent stops. The workloads are open then.',
    live: true,
  }),
} as const satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS
export type Settings = {
  readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['kind']['parse']>
}

export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]

/** The table's row as one general shape, for code that treats all settings alike. */
export function settingOf(name: SettingName): Setting<unknown> {
  return SETTINGS[name]
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

/** `--etcd-endpoints`; null for a secret. */
export function flagOf(name: SettingName): string | null {
  return settingOf(name).secret ? null : `--${kebab(name)}`
}

/** `PODFENCE_ETCD_ENDPOINTS` */
export function variableOf(name: SettingName): string {
  return `PODFENCE_${kebab(name).replaceAll('-', '_').toUpperCase()}`
}
