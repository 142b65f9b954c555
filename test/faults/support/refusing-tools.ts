import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { type Backend, toolName } from '../../../src/kernel/backend.ts'

/**
 * Restore tools for the front of a PATH that are the real ones but for one text, which they refuse as a kernel does
 * that lacks something: with its words, nothing of that transaction applied, and the end of the tool.
 */
export function refusingTools(directory: string, backend: Backend, text: string): string {
  mkdirSync(directory, { recursive: true })
  for (const family of [4, 6] as const) {
    const name = toolName(backend, family, 'restore')
    const file = `${directory}/${name}`
    writeFileSync(file, REFUSING.replace('NAME', name).replace('TEXT', text))
    chmodSync(file, 0o755)
  }
  return `${directory}:${process.env.PATH}`
}

const REFUSING = String.raw`#!/usr/bin/perl
use strict;
use warnings;

my ($name, $text) = ('NAME', 'TEXT');
($ENV{PATH}) = $ENV{PATH} =~ /^[^:]*:(.*)/;
open(my $tool, '|-', $name, @ARGV) or exit 127;
select((select($tool), $| = 1)[0]);
my ($number, $transaction, $bad) = (0, '', undef);
while (my $line = <STDIN>) {
    $number++;
    $transaction .= $line if $line =~ /^\*/ || length $transaction;
    $bad //= $line =~ /^-A (\S+)/ ? [$number, $1] : undef if index($line, $text) >= 0;
    print $tool $line if !length $transaction;
    next if $line ne "COMMIT\n";
    if ($bad) {
        close $tool;
        print STDERR "$name v1.8.9 (nf_tables): \nline $bad->[0]: RULE_APPEND failed (Invalid argument): rule in chain $bad->[1]\n";
        exit 4;
    }
    print $tool $transaction;
    $transaction = '';
}
close $tool;
exit($? >> 8);
`
