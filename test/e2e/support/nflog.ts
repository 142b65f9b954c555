import { setTimeout as pause } from 'node:timers/promises'
import { systemProcesses } from '../../../src/kernel/process.ts'
import type { LabNode } from '../../../src/lab/node.ts'

/**
 * Binds to an NFLOG group (NETLINK_NETFILTER, NFULNL_MSG_CONFIG) and prints each packet's prefix.
 * In perl, as the probe is, since Node has no netlink; attributes and numbers as in linux/netfilter/nfnetlink_log.h.
 */
const LISTENER = String.raw`
use strict; use warnings; use Socket;
my ($group) = @ARGV;
$| = 1;
socket(my $socket, 16, SOCK_RAW, 12) or die "netlink: $!";
sub attribute { my ($type, $data) = @_; return pack('SS', 4 + length $data, $type) . $data . "\0" x (-length($data) % 4) }
sub config {
    my ($number, $attribute) = @_;
    my $body = pack('CCn', 0, 0, $number) . $attribute;
    send($socket, pack('LSSLL', 16 + length $body, (4 << 8) | 1, 1, 0, 0) . $body, 0, pack('SSLL', 16, 0, 0, 0)) or die "send: $!";
}
config($group, attribute(1, pack('C', 1)));
config($group, attribute(2, pack('NCC', 0xffff, 2, 0)));
config($group, attribute(5, pack('N', 1))); # each packet at once
print "listening\n";
while (defined recv($socket, my $data, 65536, 0)) {
    while (length $data >= 16) {
        my ($length, $type) = unpack('LS', $data);
        last if $length < 16;
        my $message = substr($data, 0, $length);
        substr($data, 0, ($length + 3) & ~3) = '';
        next if ($type >> 8) != 4 || ($type & 255) != 0;
        my $attributes = substr($message, 20);
        while (length $attributes >= 4) {
            my ($size, $kind) = unpack('SS', $attributes);
            last if $size < 4;
            print substr($attributes, 4, $size - 5), "\n" if ($kind & 0x7fff) == 10;
            $attributes = length $attributes > (($size + 3) & ~3) ? substr($attributes, ($size + 3) & ~3) : '';
        }
    }
}
`

/** A moment for the last packets to be told. */
const REST_MS = 200

/** What comes to an NFLOG group of a node while `work` is done: the prefixes, in order. */
export async function nflogDuring(
  node: LabNode,
  group: number,
  work: () => Promise<void>,
): Promise<readonly string[]> {
  const processes = systemProcesses()
  const heard: string[] = []
  let isListening = () => {}
  const listening = new Promise<void>(resolve => {
    isListening = resolve
  })
  const program = ['netns', 'exec', node.namespace, 'perl', '-e', LISTENER, String(group)]
  const child = processes.start('ip', program, {
    onLine: line => (line === 'listening' ? isListening() : void heard.push(line)),
  })
  await Promise.race([listening, child.ended])
  await work()
  await pause(REST_MS)
  child.kill()
  await child.ended
  return heard
}
