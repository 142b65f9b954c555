import { release } from 'node:os'
import { Command } from 'commander'
import { CATALOGUE } from '../errors.ts'
import { systemProcesses } from '../kernel/process.ts'
import { resolveSettings, type SettingSources } from '../runtime/settings.ts'
import { checkCertificates } from './check-certificates.ts'
import { checkClock } from './check-clock.ts'
import { checkBridges, checkCapabilities, checkLock, checkSysctls } from './check-host.ts'
import { checkInterfaces } from './check-interfaces.ts'
import { checkKernel } from './check-kernel.ts'
import { checkPlace } from './check-place.ts'
import { checkBackend, checkPrograms } from './check-programs.ts'
import { checkSource } from './check-source.ts'
import { checkStoreSettings } from './check-store-settings.ts'
import { checkUnitUser } from './check-unit-user.ts'
import { type Finding, green, yellow } from './finding.ts'
import { hostFiles } from './host-files.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSources } from './setting-flags.ts'
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
    const findings = await examine(await commandSources(check, terminal), terminal)
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, findings }, null, 2))
    else terminal.out(findings.map(finding => line(finding, terminal)).join('\n'))
    if (findings.some(({ level }) => level === 'red')) ended(exit)
  })
}

async function examine(sources: SettingSources, terminal: Terminal): Promise<Finding[]> {
  const { settings } = resolveSettings(sources)
  const processes = systemProcesses()
  const { env } = terminal
  const [{ backend, findings }, ...others] = await Promise.all([
    checkBackend(processes, settings.backend),
    checkPrograms(processes),
    checkCapabilities(hostFiles),
    checkBridges(hostFiles, settings),
    checkSysctls(hostFiles),
    checkLock(hostFiles, env),
    checkInterfaces(settings, hostFiles),
    checkClock(processes),
    checkSource(settings, hostFiles, env),
    checkStoreSettings(sources),
    checkCertificates(settings, hostFiles, env, new Date()),
  ])
  const kernel =
    backend === null
      ? [yellow('kernel', 'not probed, since there is no iptables', 'Install iptables first.')]
      : [...(await checkKernel(processes, backend)), ...(await checkPlace(processes, backend))]
  const unitUser = await checkUnitUser(settings, {
    processes,
    files: hostFiles,
    env,
    backend,
    settingsFile: sources.file?.path ?? null,
    uid: process.getuid?.(),
  })
  return [green('system', `Linux ${release()}`), ...findings, ...kernel, ...others.flat(), ...unitUser]
}

function line({ level, what, says, remedy }: Finding, terminal: Terminal): string {
  const head = `${terminal.paint(level, level.padEnd(6))}  ${what}: ${oneLine(says)}`
  return remedy === null ? head : `${head}\n        ${oneLine(remedy)}`
}
