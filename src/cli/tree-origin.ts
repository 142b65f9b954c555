import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { KubernetesTranslation } from '../model/kubernetes/translation.ts'
import { readObjectFile } from '../model/object.ts'
import type { Settings } from '../runtime/setting-table.ts'
import type { SourceEvent } from '../source/event.ts'
import { FilesSource } from '../source/files-source.ts'
import { readKubernetesFiles } from './kubernetes-files.ts'
import { readTree, withStore } from './store-access.ts'

/** A whole v1 tree as it is now. */
export interface Tree {
  readonly entries: ReadonlyMap<string, string>
  /** The store's revision; null for files. */
  readonly revision: string | null
}

/** Reads the tree of `--from`: `etcd`, or a directory. Without it, of what the settings name as source. */
export async function treeFrom(from: string | undefined, settings: Settings): Promise<Tree> {
  const where = from ?? (settings.source === 'files' ? settings.filesDirectory! : 'etcd')
  if (where === 'etcd') return withStore(settings, readTree)
  const directory = resolve(where)
  const found = await stat(directory).catch(() => null)
  if (!found?.isDirectory()) throw new PodfenceError('USAGE', `--from ${where}: there is no such directory.`)
  const kubernetes = await readKubernetesFiles(directory)
  const entries =
    kubernetes === null ? await firstListing(directory) : translated(kubernetes.entries, settings)
  return { entries, revision: null }
}

/** As the agent in direct mode would have it. */
function translated(
  objects: ReadonlyMap<string, string>,
  { annotationPolicy, defaultPolicy, annotationCombine }: Settings,
): ReadonlyMap<string, string> {
  const options = { annotationPolicy, defaultPolicy, annotationCombine, profiles: 'shared' } as const
  return new KubernetesTranslation(options).snapshot(objects)
}

/** What an agent with this directory as its source would start from. Throws OBJECT_INVALID when it would not start. */
function firstListing(directory: string): Promise<ReadonlyMap<string, string>> {
  return new Promise((found, failed) => {
    const end = new AbortController()
    const take = (event: SourceEvent) => {
      if (event.kind === 'connection' && event.connected) return
      end.abort()
      if (event.kind === 'snapshot') found(event.entries)
      if (event.kind === 'connection') failed(new PodfenceError('OBJECT_INVALID', `${event.reason}.`))
    }
    new FilesSource({ directory, read: readObjectFile }).run(take, end.signal).catch(failed)
  })
}
