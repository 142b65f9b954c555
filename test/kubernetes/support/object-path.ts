/** An object of Kubernetes, as far as every kind has it. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly resourceVersion?: string
    readonly uid?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** What kinds the tests speak of, with where they are. */
const KINDS = {
  Namespace: ['v1', 'namespaces', false],
  Node: ['v1', 'nodes', false],
  Pod: ['v1', 'pods', true],
  Event: ['v1', 'events', true],
  Service: ['v1', 'services', true],
  ConfigMap: ['v1', 'configmaps', true],
  Secret: ['v1', 'secrets', true],
  ServiceAccount: ['v1', 'serviceaccounts', true],
  EndpointSlice: ['discovery.k8s.io/v1', 'endpointslices', true],
  NetworkPolicy: ['networking.k8s.io/v1', 'networkpolicies', true],
  Lease: ['coordination.k8s.io/v1', 'leases', true],
  Role: ['rbac.authorization.k8s.io/v1', 'roles', true],
  RoleBinding: ['rbac.authorization.k8s.io/v1', 'rolebindings', true],
  ClusterRole: ['rbac.authorization.k8s.io/v1', 'clusterroles', false],
  ClusterRoleBinding: ['rbac.authorization.k8s.io/v1', 'clusterrolebindings', false],
} as const satisfies Record<string, readonly [version: string, plural: string, namespaced: boolean]>

export type Kind = keyof typeof KINDS

/** The path of all objects of a kind, or of those in a namespace. */
export function listPath(kind: Kind, namespace?: string): string {
  const [version, plural] = kindOf(kind)
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${plural}`
}

/** The path of one object, by `NAMESPACE/NAME`, or `NAME` for what lies in no namespace. */
export function objectPath(kind: Kind, id: string): string {
  const [, , namespaced] = kindOf(kind)
  const [namespace, name] = namespaced ? (id.split('/') as [string, string]) : [undefined, id]
  if (name === undefined) throw new Error(`a ${kind} is called NAMESPACE/NAME, not ${id}`)
  return `${listPath(kind, namespace)}/${name}`
}

/** `NAMESPACE/NAME` or `NAME` of an object. */
export function idOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function kindOf(kind: Kind) {
  const found = KINDS[kind]
  if (found === undefined) throw new Error(`the tests know no kind ${kind}`)
  return found
}
