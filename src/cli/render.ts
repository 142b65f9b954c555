import { Command, Option } from 'commander'
import { resolveSettings } from '../runtime/settings.ts'
import { STAGES, stageNamed } from '../runtime/stage-text.ts'
import { AgentClient } from './agent-client.ts'
import { addSettingFlags, commandSources } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly stage: string
  readonly from?: string
}

export function command(terminal: Terminal): Command {
  const render = new Command('render')
    .description(
      'Prints what this node would enforce: as the text that the kernel tools get, as rules in words, or the closed gate. ' +
        'With --from a directory it needs no store and no root; --host-name names the node.',
    )
    .option('--from <where>', 'agent, etcd, or a directory of objects (default: the source that is set)')
    .addOption(new Option('--stage <stage>', 'what to print').choices(STAGES).default('text'))
  return addSettingFlags(render).action(async (options: Options) => {
    const sources = await commandSources(render, terminal)
    const { settings } = resolveSettings(sources)
    const stage = stageNamed(options.stage)
    if (options.from === 'agent') {
      terminal.out(await new AgentClient(settings.runDir).render(stage))
      return
    }
    const [{ treeFrom }, { OfflineCluster }, { stageText }, { readHostTraits, renderOptions }] =
      await Promise.all([
        import('./tree-origin.ts'),
        import('./offline-cluster.ts'),
        import('../runtime/stage-text.ts'),
        import('../runtime/render-options.ts'),
      ])
    const cluster = new OfflineCluster(await treeFrom(options.from, settings))
    const hosted = resolveSettings({ ...sources, store: cluster.config() })
    // A directory is rendered for a node that may be another than this one: as it should be there.
    const own = await readHostTraits()
    const traits =
      options.from === undefined || options.from === 'etcd' ? own : { ...own, bridgeFilter: true }
    const rendering = renderOptions(hosted.settings, traits)
    terminal.out(stageText(stage, () => cluster.engine(settings.hostName).whole(), rendering))
  })
}
