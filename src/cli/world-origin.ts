import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { renderOptions } from '../runtime/render-options.ts'
import type { Settings } from '../runtime/setting-table.ts'
import { readKubernetesFiles } from './kubernetes-files.ts'
import { KubernetesWorld } from './kubernetes-world.ts'
import type { Terminal } from './terminal.ts'

/** As a node should be whose own traits nobody knows. */
const TRAITS = { bridgeFilter: true, protocolNames: new Map<number, string>() }

/** The world of a directory of Kubernetes objects; what is odd about them is noted. Throws USAGE, OBJECT_INVALID. */
export async function worldFrom(
  directory: string,
  settings: Settings,
  terminal: Terminal,
): Promise<KubernetesWorld> {
  const path = resolve(directory)
  if (!(await stat(path).catch(() => null))?.isDirectory())
    throw new PodfenceError('USAGE', `--from ${directory}: there is no such directory.`)
  const files = await readKubernetesFiles(path)
  if (files === null)
    throw new PodfenceError('USAGE', `--from ${directory}: there are no Kubernetes objects.`, {
      next: 'Put what `kubectl get -o yaml` prints there: pods, namespaces, networkpolicies and nodes.',
    })
  const { annotationPolicy, defaultPolicy, annotationCombine } = settings
  const world = new KubernetesWorld({
    translation: { annotationPolicy, defaultPolicy, annotationCombine },
    render: renderOptions(settings, TRAITS),
  })
  world.snapshot(files.entries)
  for (const note of files.notes) terminal.note(note)
  for (const { key, reason, remedy } of world.problems()) terminal.note(`${key}: ${reason} ${remedy}`)
  return world
}
