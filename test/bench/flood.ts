import type { Processes } from '../../src/kernel/process.ts'
import type { Place } from '../../src/lab/probe.ts'
import { quantile } from './samples.ts'

/** A way for packets: from a client to a server, through whatever lies between them. */
export interface Way {
  readonly name: string
  readonly from: Place
  readonly to: Place
  /** The client's address and the server's. */
  readonly source: string
  readonly address: string
}

const PORT = 7100
const SLICES = 400
const PACKETS = 300

/**
 * Sends UDP datagrams of 18 bytes over all ways in turn, in slices of a millisecond or two, from one process on one CPU.
 * A veth hands a packet over in the sender's own soft interrupt, so the time of a send holds the whole way to
 * the server's socket. Slices are shorter than a turn of the scheduler, and the fastest fifth of them is what
 * counts, so other work on the machine hardly shows. Resolves with nanoseconds a packet for each way.
 *
 * `established`: the server has answered once before, and the flow goes on. `new`: each packet comes from
 * another port. `plain`: one flow that is never answered, for kernels that track nothing.
 */
export async function flood(
  processes: Processes,
  ways: readonly Way[],
  kind: 'established' | 'new' | 'plain',
): Promise<Map<string, number>> {
  const words = ways.flatMap(({ from, to, source, address }) => [
    from.namespace,
    to.namespace,
    source,
    address,
  ])
  const settings = [kind, String(PORT), String(SLICES), String(PACKETS)]
  const ended = await processes.run('taskset', ['-c', '1', 'perl', '-e', PROGRAM, ...settings, ...words])
  if (ended.code !== 0) throw new Error(`the flood failed: ${ended.stderr}`)
  const lines = ended.stdout.trim().split('\n')
  return new Map(ways.map(({ name }, index) => [name, quantile(lines[index]!.split(' ').map(Number), 0.2)]))
}

const PROGRAM = String.raw`
use strict;
use warnings;
use Socket qw(:all);
use POSIX ();
my %numbers = (x86_64 => [308, 228], aarch64 => [268, 113], riscv64 => [268, 113]);
my ($setns, $clock_gettime) = @{ $numbers{ (POSIX::uname())[4] } // die "unknown processor\n" };
my ($kind, $port, $slices, $packets, @words) = @ARGV;
my $payload = 'x' x 18;

sub now {
    my $time = "\0" x 16;
    syscall($clock_gettime, 1, $time);
    my ($seconds, $nanoseconds) = unpack('qq', $time);
    return $seconds * 1e9 + $nanoseconds;
}

sub enter {
    open(my $namespace, '<', "/run/netns/$_[0]") or die "no namespace $_[0]\n";
    syscall($setns, fileno($namespace), 0x40000000) == 0 or die "cannot enter $_[0]: $!\n";
}

# An IPv4 header and a UDP header without checksums; the kernel fills the first in.
sub datagram {
    my ($source, $address, $from) = @_;
    my $udp = pack('nnnn', $from, $port, 8 + length $payload, 0) . $payload;
    return pack('CCnnnCCna4a4', 0x45, 0, 20 + length $udp, 0, 0, 64, 17, 0, inet_aton($source), inet_aton($address)) . $udp;
}

my @ways;
while (my ($from, $to, $source, $address) = splice(@words, 0, 4)) {
    my $target = pack_sockaddr_in($port, inet_aton($address));
    enter($to);
    socket(my $server, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    bind($server, $target) or die "bind $address in $to: $!\n";
    enter($from);
    my $way = { server => $server, target => $target, port => 1024 };
    if ($kind eq 'new') {
        socket($way->{client}, AF_INET, SOCK_RAW, 255) or die "socket: $!\n";
        $way->{packets} = [ map { datagram($source, $address, 1024 + $_) } 0 .. 63_000 ];
    } else {
        socket($way->{client}, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
        bind($way->{client}, pack_sockaddr_in(0, inet_aton($source))) or die "bind $source in $from: $!\n";
        connect($way->{client}, $target) or die "connect: $!\n";
        send($way->{client}, $payload, 0);
        my $readable = '';
        vec($readable, fileno $server, 1) = 1;
        select($readable, undef, undef, 2) or die "nothing comes from $from to $to ($address)\n";
        my $peer = recv($server, my $got, 100, 0);
        if ($kind eq 'established') {
            send($server, 'answer', 0, $peer);
            $readable = '';
            vec($readable, fileno $way->{client}, 1) = 1;
            select($readable, undef, undef, 2) or die "no answer comes from $to to $from\n";
        }
    }
    push @ways, $way;
}

my @times = map { [] } @ways;
my $next = 0;
for (1 .. $slices) {
    for my $index (0 .. $#ways) {
        my $way = $ways[$index];
        my ($socket, $target) = @$way{qw(client target)};
        my $before = now();
        if ($kind eq 'new') { send($socket, $way->{packets}[($next + $_) % 63_000], 0, $target) for 1 .. $packets }
        else { send($socket, $payload, 0) for 1 .. $packets }
        push @{ $times[$index] }, (now() - $before) / $packets;
    }
    $next += $packets;
}
print join(' ', map { sprintf '%.0f', $_ } @$_), "\n" for @times;
`
