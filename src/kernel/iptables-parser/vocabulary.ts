/** For each option how many words follow it, or the name that it is another name of. */
type Options = Readonly<Record<string, number | string>>

const PORTS: Options = {
  '--sport': 1,
  '--source-port': '--sport',
  '--dport': 1,
  '--destination-port': '--dport',
}

/** What podfence writes, and what its neighbours in one kernel commonly write. */
export const MATCHES: ReadonlyMap<string, Options> = new Map(
  Object.entries({
    addrtype: { '--src-type': 1, '--dst-type': 1, '--limit-iface-in': 0, '--limit-iface-out': 0 },
    comment: { '--comment': 1 },
    connmark: { '--mark': 1 },
    conntrack: {
      '--ctstate': 1,
      '--ctproto': 1,
      '--ctorigsrc': 1,
      '--ctorigdst': 1,
      '--ctreplsrc': 1,
      '--ctrepldst': 1,
      '--ctorigsrcport': 1,
      '--ctorigdstport': 1,
      '--ctreplsrcport': 1,
      '--ctrepldstport': 1,
      '--ctstatus': 1,
      '--ctexpire': 1,
      '--ctdir': 1,
    },
    hl: { '--hl-eq': 1, '--hl-lt': 1, '--hl-gt': 1 },
    icmp: { '--icmp-type': 1 },
    icmp6: { '--icmpv6-type': 1 },
    iprange: { '--src-range': 1, '--dst-range': 1 },
    limit: { '--limit': 1, '--limit-burst': 1 },
    mac: { '--mac-source': 1 },
    mark: { '--mark': 1 },
    multiport: {
      '--sports': 1,
      '--source-ports': '--sports',
      '--sport': '--sports',
      '--dports': 1,
      '--destination-ports': '--dports',
      '--dport': '--dports',
      '--ports': 1,
    },
    owner: { '--uid-owner': 1, '--gid-owner': 1, '--socket-exists': 0 },
    physdev: {
      '--physdev-in': 1,
      '--physdev-out': 1,
      '--physdev-is-in': 0,
      '--physdev-is-out': 0,
      '--physdev-is-bridged': 0,
    },
    pkttype: { '--pkt-type': 1 },
    policy: { '--dir': 1, '--pol': 1, '--strict': 0, '--reqid': 1, '--spi': 1, '--proto': 1, '--mode': 1 },
    rpfilter: { '--loose': 0, '--validmark': 0, '--accept-local': 0, '--invert': 0 },
    sctp: { ...PORTS, '--chunk-types': 2 },
    set: {
      '--match-set': 2,
      '--return-nomatch': 0,
      '--update-counters': 0,
      '--update-subcounters': 0,
      '--packets-eq': 1,
      '--bytes-eq': 1,
    },
    state: { '--state': 1 },
    statistic: { '--mode': 1, '--probability': 1, '--every': 1, '--packet': 1 },
    tcp: { ...PORTS, '--tcp-flags': 2, '--syn': 0, '--tcp-option': 1 },
    ttl: { '--ttl-eq': 1, '--ttl': '--ttl-eq', '--ttl-lt': 1, '--ttl-gt': 1 },
    udp: PORTS,
  } satisfies Record<string, Options>),
)

export const TARGETS: ReadonlyMap<string, Options> = new Map(
  Object.entries({
    CONNMARK: {
      '--set-xmark': 1,
      '--set-mark': 1,
      '--save-mark': 0,
      '--restore-mark': 0,
      '--nfmask': 1,
      '--ctmask': 1,
      '--mask': 1,
    },
    CT: { '--notrack': 0, '--zone': 1, '--helper': 1 },
    DNAT: { '--to-destination': 1, '--random': 0, '--persistent': 0 },
    LOG: {
      '--log-prefix': 1,
      '--log-level': 1,
      '--log-tcp-sequence': 0,
      '--log-tcp-options': 0,
      '--log-ip-options': 0,
      '--log-uid': 0,
      '--log-macdecode': 0,
    },
    MARK: { '--set-xmark': 1, '--set-mark': 1, '--and-mark': 1, '--or-mark': 1, '--xor-mark': 1 },
    MASQUERADE: { '--to-ports': 1, '--random': 0, '--random-fully': 0 },
    NFLOG: { '--nflog-group': 1, '--nflog-prefix': 1, '--nflog-size': 1, '--nflog-threshold': 1 },
    NFQUEUE: { '--queue-num': 1, '--queue-balance': 1, '--queue-bypass': 0 },
    REDIRECT: { '--to-ports': 1, '--random': 0 },
    REJECT: { '--reject-with': 1 },
    SNAT: { '--to-source': 1, '--random': 0, '--random-fully': 0, '--persistent': 0 },
    TCPMSS: { '--set-mss': 1, '--clamp-mss-to-pmtu': 0 },
  } satisfies Record<string, Options>),
)

/** Options of the rule itself. */
export const PACKET_OPTIONS: Options = {
  '-s': 1,
  '--source': '-s',
  '--src': '-s',
  '-d': 1,
  '--destination': '-d',
  '--dst': '-d',
  '-i': 1,
  '--in-interface': '-i',
  '-o': 1,
  '--out-interface': '-o',
  '-p': 1,
  '--protocol': '-p',
  '--proto': '-p',
  '-f': 0,
  '--fragment': '-f',
}

/** The match that `-p` brings with it when one of its options follows. */
export const IMPLIED: ReadonlyMap<string, string> = new Map([
  ['tcp', 'tcp'],
  ['6', 'tcp'],
  ['udp', 'udp'],
  ['17', 'udp'],
  ['sctp', 'sctp'],
  ['132', 'sctp'],
  ['icmp', 'icmp'],
  ['1', 'icmp'],
  ['icmpv6', 'icmp6'],
  ['ipv6-icmp', 'icmp6'],
  ['58', 'icmp6'],
])

export const MODULE_ALIASES: ReadonlyMap<string, string> = new Map([['icmpv6', 'icmp6']])
