import { type Backend, toolName } from '../kernel/backend.ts'
import type { Ended, Processes } from '../kernel/process.ts'
import type { Family } from '../model/values.ts'
import { type Finding, green, red, yellow } from './finding.ts'

interface Feature {
  readonly name: string
  /** For iptables: table and rule. For ipset: null and a create command. */
  readonly table: 'raw' | 'filter' | null
  readonly text: string
  readonly families: readonly Family[]
  /** What does not work without it. */
  readonly cost: string
  /** The kernel module that brings it. */
  readonly module: string
}

const BOTH = [4, 6] as const

function rule(
  name: string,
  text: string,
  cost: string,
  { families = BOTH, module = `xt_${name}` }: Partial<Pick<Feature, 'families' | 'module'>> = {},
): Feature {
  const table = text.startsWith('PREROUTING') ? 'raw' : 'filter'
  return { name, table, text, families, cost, module }
}

function set(name: string, options: string, cost: string): Feature {
  const module = `ip_set_${name.replace(':', '_').replaceAll(',', '')}`
  return { name, table: null, text: options, families: BOTH, cost, module }
}

/**
 * What the rendered rules are made of. Not physdev: the kernel loads br_netfilter when it is used, and
 * that changes every bridge of the host, so a check must not touch it.
 */
const FEATURES: readonly Feature[] = [
  set('hash:ip', 'hash:ip maxelem 1048576', 'tags and selectors'),
  set('hash:ip,port,ip', 'hash:ip,port,ip timeout 60', 'cutting connections'),
  rule('comment', 'FORWARD -m comment --comment "podf:probe"', 'everything'),
  rule('conntrack', 'FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', 'everything'),
  rule('mark', 'FORWARD -m mark ! --mark 0x1000000/0x1000000 -j DROP', 'everything'),
  rule('MARK', 'FORWARD -j MARK --set-xmark 0x0/0x7000000', 'everything', { module: 'xt_mark' }),
  rule('multiport', 'FORWARD -p tcp -m multiport --dports 80,443', 'port lists'),
  rule('set', 'FORWARD -m set --match-set podf-probe-FAMILY src', 'tags and selectors'),
  rule('mac', 'FORWARD -m mac --mac-source 02:00:00:00:00:01', 'source checks of endpoints with a MAC'),
  ...BOTH.map(family =>
    rule('rpfilter', 'PREROUTING -m rpfilter --invert -j DROP', 'source checks', {
      families: [family],
      module: family === 4 ? 'ipt_rpfilter' : 'ip6t_rpfilter',
    }),
  ),
  rule('limit', 'FORWARD -m limit --limit 10/sec', 'drop logging'),
  rule('NFLOG', 'FORWARD -j NFLOG --nflog-group 100 --nflog-prefix "podf:D"', 'drop logging'),
  rule('icmp', 'FORWARD -p icmp -m icmp --icmp-type 8/0', 'ICMP rules', {
    families: [4],
    module: 'ip_tables',
  }),
  rule('icmp6', 'FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135', 'ICMPv6 rules', {
    families: [6],
    module: 'ip6_tables',
  }),
  rule('hl', 'FORWARD -m hl --hl-eq 255', 'neighbour discovery', { families: [6] }),
]

const OPTIONAL = ['limit', 'NFLOG']

interface Probe {
  readonly feature: Feature
  readonly family: Family
}

const PROBES: readonly Probe[] = FEATURES.flatMap(feature =>
  feature.families.map(family => ({ feature, family })),
)

/**
 * Tries every kind of set and match that podfence uses, in a network namespace that vanishes with the
 * probe: nothing of this host's own rules is touched.
 */
export async function checkKernel(processes: Processes, backend: Backend): Promise<Finding[]> {
  const root = process.getuid?.() === 0
  const own = ['--net', '--mount', '--pid', '--fork', '--kill-child']
  const user = root ? [] : ['--user', '--map-root-user']
  const answer = await processes.run('unshare', [...user, ...own, 'sh', '-c', script(backend)], {
    timeoutMs: 30_000,
  })
  if (!answer.stdout.includes('began\n')) return [unprobed(answer)]
  const failed = PROBES.flatMap(probe => {
    const reason = failureOf(answer.stdout, probe)
    return reason === null ? [] : [{ probe, reason }]
  })
  if (failed.length === 0)
    return [
      green(
        'kernel',
        `all ${new Set(FEATURES.map(({ name }) => name)).size} kinds of sets, matches and targets work on ${backend}`,
      ),
    ]
  return failed.map(({ probe, reason }) => {
    const { name, cost } = probe.feature
    const what = `${name} (IPv${probe.family})`
    const says = `does not work on ${backend}, so neither does this: ${cost}. ${reason}`
    const modules = modulesOf(probe, backend).join(' ')
    const remedy = `Load its kernel modules (modprobe -a ${modules}), or boot a kernel that has them.`
    return OPTIONAL.includes(name) ? yellow(what, says, remedy) : red(what, says, remedy)
  })
}

/** What a kind of rule needs: that which carries it, and its own. */
function modulesOf({ feature, family }: Probe, backend: Backend): string[] {
  const { table, module } = feature
  if (table === null) return [module]
  return [backend === 'nft' ? 'nft_compat' : `${family === 4 ? 'iptable' : 'ip6table'}_${table}`, module]
}

function unprobed({ missing, stderr }: Ended): Finding {
  const why = missing ? 'unshare is not installed' : (stderr.trim().split('\n')[0] ?? '')
  return yellow(
    'kernel',
    `cannot be probed: no network namespace can be made (${why})`,
    'Run podfence check as root.',
  )
}

/** A line for each probe: `N ok`, or `N no REASON`. */
function script(backend: Backend): string {
  const lines = PROBES.map(({ feature, family }, index) => {
    const { table, text } = feature
    const tool = toolName(backend, family, 'restore')
    const inet = family === 4 ? 'inet' : 'inet6'
    const command =
      table === null
        ? `ipset create podf-probe-${feature.name === 'hash:ip' ? family : `x${index}`} ${text} family ${inet}`
        : `printf '%s\\n' '*${table}' '-A ${text.replace('FAMILY', String(family))}' COMMIT | ${tool} --noflush`
    return `said=$(${command} 2>&1) && echo "${index} ok" || echo "${index} no $(echo "$said" | head -n 1)"`
  })
  // A lock file that the environment names below /run is hidden now; the usual one is ours alone.
  const own = 'mount -t tmpfs tmpfs /run 2>/dev/null && unset XTABLES_LOCKFILE'
  return [own, 'echo began', ...lines].join('\n')
}

function failureOf(output: string, probe: Probe): string | null {
  const index = PROBES.indexOf(probe)
  const line = output.split('\n').find(candidate => candidate.startsWith(`${index} `)) ?? `${index} no answer`
  return line === `${index} ok` ? null : line.slice(`${index} no `.length).trim()
}
