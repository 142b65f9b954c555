/**
 * Labels that the translation gives to endpoints beside a pod's own. Pods and namespaces cannot set them: a pod's own
 * labels of the reserved prefix, and all of a namespace's, come below prefixes of their own. Selectors follow.
 */
const RESERVED = 'podfence/'

/** The namespace of a pod. */
export const NAMESPACE_LABEL = `${RESERVED}namespace`
/** `valid` or `refused` for pods whose annotation counts. */
export const ANNOTATION_LABEL = `${RESERVED}annotation`

/** A label of the pod's namespace. */
export function namespaceLabel(key: string): string {
  return `${RESERVED}ns/${key}`
}

/** The number of a named port of the pod. */
export function portLabel(protocol: string, name: string): string {
  return `${RESERVED}port.${protocol}.${name}`
}

/** The endpoint's label for a pod's own label: itself, or put aside where it looks like one of ours. */
export function podLabel(key: string): string {
  return key.startsWith(RESERVED) ? `${RESERVED}pod/${key}` : key
}
