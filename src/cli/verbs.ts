import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** What a verb's file exports: the command, whose action answers through `ended`. */
export interface VerbModule {
  command(terminal: Terminal, ended: (exitCode: number) => void): Command
}

export interface Verb {
  readonly name: string
  readonly summary: string
  /** Only the verb that is asked for is loaded: each brings what it needs. */
  readonly load: () => Promise<VerbModule>
}

export const VERBS: readonly Verb[] = [
  { name: 'agent', summary: 'enforce policy on this node', load: () => import('./agent.ts') },
  {
    name: 'controller',
    summary: 'write what Kubernetes wants into etcd',
    load: () => import('./controller.ts'),
  },
  { name: 'status', summary: 'what the agent of this node does', load: () => import('./status.ts') },
  { name: 'explain', summary: 'the verdict for one packet, and why', load: () => import('./explain.ts') },
  { name: 'matrix', summary: 'who reaches whom, as a grid', load: () => import('./matrix.ts') },
  { name: 'check', summary: 'what this host has and lacks', load: () => import('./check.ts') },
  { name: 'render', summary: 'the rules as text', load: () => import('./render.ts') },
  { name: 'apply', summary: 'write objects to etcd', load: () => import('./apply.ts') },
  { name: 'get', summary: 'show objects of etcd', load: () => import('./get.ts') },
  { name: 'delete', summary: 'remove objects from etcd', load: () => import('./delete.ts') },
  { name: 'annotation', summary: 'compile a policy annotation', load: () => import('./annotation.ts') },
  { name: 'selector', summary: 'match selectors with labels', load: () => import('./selector.ts') },
  { name: 'config', summary: 'every setting, its value and origin', load: () => import('./config.ts') },
  {
    name: 'gate',
    summary: 'close the workloads until the agent is in sync',
    load: () => import('./gate.ts'),
  },
  { name: 'cleanup', summary: 'remove all our rules and sets', load: () => import('./cleanup.ts') },
  { name: 'diags', summary: 'an archive for a bug report', load: () => import('./diags.ts') },
  { name: 'demo', summary: 'pods, packets and policy in a minute', load: () => import('./demo.ts') },
  { name: 'version', summary: 'the version', load: () => import('./version.ts') },
]
