/**
 * Calico's documented escape of a text to a tag: every `_` doubled, then every other character that a tag
 * cannot hold replaced by one `_`. Not one to one, so tags are for readers and never for what is enforced.
 */
export function escapeTag(text: string): string {
  return text.replaceAll('_', '__').replace(/[^A-Za-z0-9._-]/gu, '_')
}

/** The tag of a pod's label: `production`, `role`, `backend` to `production_role_backend`. */
export function labelTag(namespace: string, key: string, value: string): string {
  return escapeTag(`${namespace}/${key}=${value}`)
}

/** The tag of all pods of a namespace: `namespace_production`. */
export function namespaceTag(namespace: string): string {
  return escapeTag(`namespace=${namespace}`)
}

/** The tag of one pod: `production_pod1`. */
export function podTag(namespace: string, pod: string): string {
  return escapeTag(`${namespace}/${pod}`)
}
