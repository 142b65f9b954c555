import type { ObjectResource } from './object-key.ts'

type Fields = Readonly<Record<string, unknown>>

/** Policy, and the uid by which the container runtime knows a static pod. */
const ANNOTATIONS = ['projectcalico.org/policy', 'policy', 'kubernetes.io/config.mirror']

/**
 * The few fields of an object that policy depends on, as JSON text; most of an object (and nearly every change of one)
 * is about other things. Equal texts mean that nothing changed for us. What has another form than the API gives it
 * stays as it is: the translation says what is wrong with it.
 */
export function trimObject(resource: ObjectResource, object: Fields): string {
  return JSON.stringify({ metadata: trimMetadata(object.metadata), ...trimRest(resource, object) })
}

function trimRest(resource: ObjectResource, { spec, status }: Fields): Fields {
  switch (resource) {
    case 'pods':
      return { spec: trimPodSpec(spec), status: pick(status, ['phase', 'podIP', 'podIPs']) }
    case 'networkpolicies':
      return { spec }
    case 'namespaces':
    case 'nodes':
      return {}
  }
}

function trimMetadata(metadata: unknown): unknown {
  if (!isFields(metadata)) return metadata
  const { annotations } = metadata
  const policy = pick(annotations, ANNOTATIONS)
  return {
    ...(pick(metadata, [
      'name',
      'namespace',
      'uid',
      'creationTimestamp',
      'deletionTimestamp',
      'labels',
    ]) as Fields),
    ...(isFields(policy) && Object.keys(policy).length === 0 ? {} : { annotations: policy }),
  }
}

function trimPodSpec(spec: unknown): unknown {
  if (!isFields(spec)) return spec
  return {
    ...(pick(spec, ['nodeName', 'hostNetwork']) as Fields),
    containers: trimContainers(spec.containers),
    initContainers: trimContainers(spec.initContainers),
  }
}

/** Containers without ports say nothing. */
function trimContainers(containers: unknown): unknown {
  if (!Array.isArray(containers)) return containers
  const trimmed = containers.flatMap(container => {
    if (!isFields(container)) return [container]
    const { ports, restartPolicy } = container
    if (ports === undefined || ports === null) return []
    if (!Array.isArray(ports)) return [{ restartPolicy, ports }]
    const plain = ports.map(port => pick(port, ['name', 'containerPort', 'protocol']))
    return plain.length === 0 ? [] : [{ restartPolicy, ports: plain }]
  })
  return trimmed.length === 0 ? undefined : trimmed
}

/** The fields that are there, in the order named. */
function pick(value: unknown, names: readonly string[]): unknown {
  if (!isFields(value)) return value
  const picked: Record<string, unknown> = {}
  for (const name of names) if (value[name] !== undefined) picked[name] = value[name]
  return picked
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
