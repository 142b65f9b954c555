import { Command } from 'commander'
import { CATALOGUE } from '../errors.ts'
import { systemProcesses } from '../kernel/process.ts'
import type { Settings } from '../runtime/setting-table.ts'
import { checkEtcd } from './check-etcd.ts'
import { checkBridges, checkCapabilities, checkLock, checkSysctls } from './check-host.ts'
import { checkKernel } from './check-kernel.ts'
import { checkBackend, checkPrograms } from './check-programs.ts'
import { type Finding, yellow } from './finding.ts'
import { hostFiles } from './host-files.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings } from './setting-flags.ts'
import { oneLine } from './table.ts'
import type { Terminal } from './terminal.ts'

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const { exit } = CATALOGUE.PREREQUISITE_MISSING
  const check = new Command('check')
    .description(
      `Tells what this host has and lacks, with remedies. Ends with ${exit} when something is red.`,
    )
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(check).action(async (options: { output: string }) => {
    const { settings } = await commandSettings(check, terminal)
    const findings = await examine(settings, terminal)
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, findings }, null, 2))
    else terminal.out(findings.map(finding => line(finding, terminal)).join('\n'))
    if (findings.some(({ level }) => level === 'red')) ended(exit)
  })
}

async function examine(settings: Settings, terminal: Terminal): Promise<Finding[]> {
  const processes = systemProcesses()
  const [programs, { backend, findings }, capabilities, sysctls, bridges, lock, source] = await Promise.all([
    checkPrograms(processes),
    checkBackend(processes, settings.backend),
    checkCapabilities(hostFiles),
    checkSysctls(hostFiles),
    checkBridges(hostFiles, settings),
    checkLock(hostFiles, terminal.env),
    checkEtcd(settings),
  ])
  const kernel =
    backend === null
      ? [yellow('kernel', 'not probed, since there is no iptables', 'Install iptables first.')]
      : await checkKernel(processes, backend)
  return [...findings, ...programs, ...capabilities, ...kernel, ...bridges, ...sysctls, lock, source]
}

function line({ level, what, says, remedy }: Finding, terminal: Terminal): string {
  const head = `${terminal.paint(level, level.padEnd(6))}  ${what}: ${oneLine(says)}`
  return remedy === null ? head : `${head}\n        ${oneLine(remedy)}`
}
