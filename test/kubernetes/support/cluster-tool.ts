import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const FINDER = fileURLToPath(new URL('../../../.ci/kube-apiserver', import.meta.url))

/** A program of Kubernetes: where it is, or why it is nowhere. */
export interface ClusterTool {
  readonly path: string | null
  /** The reason, or false: `t.test('...', { skip: tool.missing }, ...)`. */
  readonly missing: string | false
}

/** Looks for a program that test/kubernetes/server names, where `.ci/kube-apiserver` would; builds nothing. */
export function clusterTool(name: 'kube-apiserver' | 'kube-proxy'): ClusterTool {
  const found = spawnSync(FINDER, ['--no-build', name], { encoding: 'utf8' })
  if (found.status === 0) return { path: found.stdout.trim(), missing: false }
  return { path: null, missing: found.stdout.trim() || String(found.error ?? found.stderr) }
}
