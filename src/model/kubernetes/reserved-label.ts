/**
 * The labels that podfence gives to pods. Pods cannot set them: what a pod itself carries under the reserved prefix
 * stands under a name of its own, where selectors written for it look as well.
 */
export const RESERVED_PREFIX = 'podfence/'
export const NAMESPACE_LABEL = `${RESERVED_PREFIX}namespace`
/** `valid` or `refused`, on pods whose annotation is policy. */
export const ANNOTATION_LABEL = `${RESERVED_PREFIX}annotation`

/** The label under which an endpoint carries a label of its pod. */
export function podLabel(key: string): string {
  return key.startsWith(RESERVED_PREFIX) ? `${RESERVED_PREFIX}pod/${key}` : key
}

/** The label that endpoints inherit for a label of their namespace. */
export function namespaceLabel(key: string): string {
  return `${RESERVED_PREFIX}ns/${key}`
}

/** The label with the number of a named port, for `tcp.http`. */
export function portLabel(port: string): string {
  return `${RESERVED_PREFIX}port.${port}`
}

/** A selector of all pods of a namespace. */
export function inNamespace(namespace: string): string {
  return `${NAMESPACE_LABEL} == '${namespace}'`
}
