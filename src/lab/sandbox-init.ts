/**
 * The first process of a sandbox, in perl because a process 1 must reap orphans and pass signals on, which
 * neither Node nor a shell does properly. Its stdin is the control line from outside: a signal's name for
 * the program, or the end when the outside is gone; then everything inside is killed. When the program
 * ends, this ends with the program's status, and the kernel kills what is left in the pid namespace.
 */
export const SANDBOX_INIT = String.raw`
use strict;
use warnings;

sub must {
    system(@_) == 0 or do { print STDERR "podfence: the sandbox could not run: @_\n"; exit 71 };
}

must(qw(mount -t tmpfs -o mode=755 tmpfs /run));
mkdir "/run/$_" for qw(netns lock);
open(my $marker, '>', '/run/podfence.sandbox') or die "podfence: $!\n";
close $marker;
must(qw(ip link set lo up));

my $program = fork // die "podfence: fork: $!\n";
if ($program == 0) {
    open(STDIN, '<', '/dev/null');
    exec { $ARGV[0] } @ARGV or do { print STDERR "podfence: $ARGV[0]: $!\n"; exit 127 };
}

my $control = fork // die "podfence: fork: $!\n";
if ($control == 0) {
    while (my $name = <STDIN>) {
        chomp $name;
        kill $name, $program if $name =~ /^(HUP|INT|QUIT|TERM|USR1|USR2)$/;
    }
    kill KILL => -1;
    exit 0;
}

while ((my $ended = waitpid(-1, 0)) > 0) {
    next if $ended != $program;
    exit(($? & 127) ? 128 + ($? & 127) : $? >> 8);
}
`
