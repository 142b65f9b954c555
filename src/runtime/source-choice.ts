import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { Source } from '../source/event.ts'
import type { FileContent } from '../source/file-set.ts'
import type { Store } from '../source/store.ts'
import { systemClock } from './clock.ts'
import type { Attachments } from './cni/attachment.ts'
import { etcdOptions } from './etcd-options.ts'
import type { Logger } from './log.ts'
import type { Settings } from './setting-table.ts'
import { TranslatedSource } from './translated-source.ts'

/** The source of the settings, and what belongs to its kind. */
export interface ChosenSource {
  readonly watch: Source
  /**
   * A connection of its own for the status keys (a write that times out closes its channel, which must not be
   * the watch's); null for files.
   */
  readonly statusStore: Store | null
  /** Whether only the Ready key makes a snapshot count. */
  readonly gated: boolean
  /** Who is to know what the CNI plugin says of pods; null where that is in the store. */
  readonly attachments: Attachments | null
  close(): void | Promise<void>
}

/** Who hears what is wrong with the objects of a source, whenever that may have changed. */
export interface SourceProblems {
  readonly log: Logger
  files(problems: readonly string[]): void
  kubernetes(problems: ReadonlyMap<string, KubernetesProblem>): void
}

/** Opens the source without waiting for it. Throws CONFIG_INVALID. */
export async function openSource(settings: Settings, problems: SourceProblems): Promise<ChosenSource> {
  if (settings.source === 'kubernetes') return openKubernetes(settings, problems)
  if (settings.source === 'files') {
    const [{ FilesSource }, { readObjectFile }] = await Promise.all([
      import('../source/files-source.ts'),
      import('../model/object.ts'),
    ])
    const read: (text: string, file: string) => FileContent = readObjectFile
    const watch = new FilesSource({ directory: settings.filesDirectory!, read, onProblems: problems.files })
    return { watch, statusStore: null, gated: false, attachments: null, close: () => {} }
  }
  const [{ openEtcd }, { EtcdSource }] = await Promise.all([
    import('../source/etcd-client.ts'),
    import('../source/etcd-source.ts'),
  ])
  const options = await etcdOptions(settings)
  const stores = [openEtcd(options), openEtcd(options)] as const
  const [store, statusStore] = stores
  const close = () => {
    for (const opened of stores) opened.close()
  }
  return { watch: new EtcdSource(store), statusStore, gated: true, attachments: null, close }
}

/** Without a store in between: the objects are translated here. */
async function openKubernetes(settings: Settings, problems: SourceProblems): Promise<ChosenSource> {
  const [
    { openKubernetes: openApi },
    { warnOfPod },
    { ProblemEvents },
    { KubernetesSource },
    { KubernetesTranslation },
    { kubernetesOptions },
  ] = await Promise.all([
    import('../source/kubernetes/client.ts'),
    import('../source/kubernetes/pod-event.ts'),
    import('./problem-events.ts'),
    import('../source/kubernetes/kubernetes-source.ts'),
    import('../model/kubernetes/translation.ts'),
    import('./kubernetes-options.ts'),
  ])
  const api = openApi(await kubernetesOptions(settings, process.env))
  const { annotationPolicy, defaultPolicy, annotationCombine } = settings
  // Nobody else reads this tree, so pods may share profiles.
  const options = {
    annotationPolicy,
    defaultPolicy,
    annotationCombine,
    profiles: 'shared',
    node: settings.hostName,
  } as const
  const translation = new KubernetesTranslation(options)
  // Each node tells of its own pods, or every agent would tell of all of them.
  const events = new ProblemEvents({
    host: settings.hostName,
    write: warning => warnOfPod(api, warning, new Date()),
    tells: () => true,
    clock: systemClock,
    log: problems.log,
  })
  const watch = new TranslatedSource(events.listening(new KubernetesSource(api)), translation, found => {
    problems.kubernetes(found)
    events.problems(found)
  })
  const close = async () => {
    await events.stop()
    api.close()
  }
  return { watch, statusStore: null, gated: false, attachments: watch, close }
}
