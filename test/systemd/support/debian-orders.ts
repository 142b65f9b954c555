import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Lines of a unit's sections [Unit] and [Install]. */
type Lines = readonly [unit: string, install: string]

/** The order that Debian 12 gives to what filters packets before we do. */
const FIREWALLS = {
  nftables: [
    `DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target`,
    'WantedBy=sysinit.target',
  ],
  'netfilter-persistent': [
    `DefaultDependencies=no
Wants=network-pre.target systemd-modules-load.service local-fs.target
Before=network-pre.target shutdown.target
After=systemd-modules-load.service local-fs.target
Conflicts=shutdown.target`,
    'WantedBy=multi-user.target',
  ],
  ferm: [
    `DefaultDependencies=no
RequiresMountsFor=/var/cache/
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target`,
    'WantedBy=sysinit.target',
  ],
  ufw: [
    `DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target local-fs.target
After=local-fs.target`,
    'WantedBy=multi-user.target',
  ],
  firewalld: [
    `Before=network-pre.target
Wants=network-pre.target
After=dbus.service polkit.service
Conflicts=iptables.service ip6tables.service ebtables.service ipset.service nftables.service`,
    'WantedBy=multi-user.target',
  ],
  shorewall: [
    `Wants=network-online.target
After=network-online.target
Conflicts=iptables.service firewalld.service`,
    'WantedBy=basic.target',
  ],
  shorewall6: [
    `Wants=network-online.target
After=network-online.target shorewall.service
Conflicts=ip6tables.service firewalld.service`,
    'WantedBy=basic.target',
  ],
} satisfies Record<string, Lines>

export type Firewall = keyof typeof FIREWALLS
export const firewalls = Object.keys(FIREWALLS) as Firewall[]

/** And to what brings the network up and what starts workloads. */
const OTHERS: Readonly<Record<string, Lines>> = {
  networking: [
    `DefaultDependencies=no
Wants=network.target
After=local-fs.target network-pre.target systemd-sysctl.service systemd-modules-load.service
Before=network.target shutdown.target network-online.target
Conflicts=shutdown.target`,
    'WantedBy=multi-user.target network-online.target',
  ],
  containerd: ['After=network.target local-fs.target', 'WantedBy=multi-user.target'],
  docker: [
    `After=network-online.target firewalld.service containerd.service
Wants=network-online.target containerd.service`,
    'WantedBy=multi-user.target',
  ],
  podman: ['', 'WantedBy=default.target'],
  libvirtd: [
    `Wants=systemd-machined.service
After=network.target firewalld.service iptables.service ip6tables.service dbus.service local-fs.target remote-fs.target
After=systemd-logind.service systemd-machined.service`,
    'WantedBy=multi-user.target',
  ],
}

/** Makes a directory of units: one firewall, what Debian has beside it, and ours, all enabled. */
export function writeUnits(directory: string, firewall: Firewall): void {
  const enable = (unit: string, file: string, targets: string) => {
    for (const target of targets.split(' ')) {
      mkdirSync(join(directory, `${target}.wants`), { recursive: true })
      symlinkSync(file, join(directory, `${target}.wants`, unit))
    }
  }
  for (const [name, [unit, install]] of Object.entries({ ...OTHERS, [firewall]: FIREWALLS[firewall] })) {
    enable(`${name}.service`, `../${name}.service`, install.replace('WantedBy=', ''))
    writeFileSync(
      join(directory, `${name}.service`),
      `[Unit]\n${unit}\n[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\n${install}\n`,
    )
  }
  for (const name of ['podfence-gate.service', 'podfence-agent.service', 'podfence-controller.service'])
    enable(name, `/lib/systemd/system/${name}`, 'multi-user.target')
}
