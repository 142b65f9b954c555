/**
 * The probe's perl program, part 1: requests in, answers out, sockets and timers in between.
 *
 * One process speaks from and listens in every namespace of the laboratory: a socket belongs to the
 * namespace in which it was opened, whatever setns(2) says later. Node has no setns and no raw sockets;
 * perl-base (perl without any module directory beyond it) is on every Debian and weighs 8 MB.
 *
 * A request is one line `ID VERB key=value ...`, an answer one line `ID WORD key=value ...`; values hold no
 * blanks, bytes are hexadecimal. Times are milliseconds of CLOCK_MONOTONIC, which process.hrtime() reads too.
 */
export const PROBE_LOOP = String.raw`
use strict;
use warnings;
use Socket qw(:all);
use POSIX ();
use Errno qw(EINPROGRESS EAGAIN EINTR);
use Fcntl qw(F_SETFL);
use constant { CLONE_NEWNET => 0x40000000, AF_PACKET => 17, ETH_P_ALL => 3, OUTGOING => 4 };

my %numbers = (
    x86_64 => [308, 228], aarch64 => [268, 113], riscv64 => [268, 113], ppc64le => [350, 246], s390x => [339, 260],
);
my ($setns, $clock_gettime) = @{ $numbers{ (POSIX::uname())[4] } // die "unknown processor\n" };
my (%reader, %writer, %space, @timers, %verb, %arrivals);
my ($readable, $writable) = ('', '');
# A flow whose other end was reset is told by its next write, and that is no end of the probe.
$SIG{PIPE} = 'IGNORE';

sub now {
    my $time = "\0" x 16;
    syscall($clock_gettime, 1, $time);
    my ($seconds, $nanoseconds) = unpack('qq', $time);
    return $seconds * 1000 + $nanoseconds / 1e6;
}

open(my $home, '<', '/proc/self/ns/net') or die "/proc/self/ns/net: $!\n";

sub enter {
    my ($name) = @_;
    my $namespace;
    if ($name ne '.') { open($namespace, '<', "/run/netns/$name") or die "no namespace $name\n" }
    syscall($setns, fileno($namespace // $home), CLONE_NEWNET) == 0 or die "cannot enter $name: $!\n";
}

sub answer {
    my $line = join(' ', @_) . "\n";
    while (length $line) {
        my $wrote = syswrite(STDOUT, $line);
        if (defined $wrote) { substr($line, 0, $wrote, '') }
        elsif (!$!{EINTR}) { exit 0 }
    }
}

# The watched set of descriptors is kept, not rebuilt: there may be hundreds.
sub on_read {
    my ($socket, $code) = @_;
    $reader{ fileno $socket } = $code;
    vec($readable, fileno $socket, 1) = 1;
}

sub on_write {
    my ($socket, $code) = @_;
    my $fd = fileno $socket;
    if ($code) { $writer{$fd} = $code; vec($writable, $fd, 1) = 1 }
    else { delete $writer{$fd}; vec($writable, $fd, 1) = 0 }
}

sub finish {
    my ($socket) = @_;
    my $fd = fileno($socket) // return;
    delete @{$_}{$fd} for \%reader, \%writer, \%space;
    vec($readable, $fd, 1) = 0;
    vec($writable, $fd, 1) = 0;
    close $socket;
}

sub after {
    my ($delay, $code) = @_;
    return at(now() + $delay, $code);
}

sub at {
    my $timer = [@_];
    my ($low, $high) = (0, scalar @timers);
    while ($low < $high) {
        my $middle = ($low + $high) >> 1;
        if ($timers[$middle][0] <= $timer->[0]) { $low = $middle + 1 } else { $high = $middle }
    }
    splice(@timers, $low, 0, $timer);
    return $timer;
}

sub cancel { $_[0][1] = undef if $_[0] }

sub request {
    my ($id, $name, @pairs) = split / /, $_[0];
    my %given = map { split /=/, $_, 2 } @pairs;
    eval {
        my $code = $verb{$name} or die "no verb $name\n";
        $code->($id, \%given);
        1;
    } or do {
        my $message = $@;
        chomp $message;
        $message =~ s/\s/_/g;
        answer($id, 'failed', "message=$message");
    };
}

sub main_loop {
    my $input = '';
    vec($readable, 0, 1) = 1;
    $reader{0} = sub {
        my $got = sysread(STDIN, $input, 65536, length $input);
        exit 0 if defined $got ? $got == 0 : !$!{EINTR};
    };
    while (1) {
        # A few requests a turn: no answer may wait until its deadline behind hundreds of questions.
        for (1 .. 16) {
            my $end = index($input, "\n");
            last if $end < 0;
            my $line = substr($input, 0, $end + 1, '');
            chomp $line;
            request($line);
        }
        my $wait = @timers ? ($timers[0][0] - now()) / 1000 : undef;
        $wait = 0 if index($input, "\n") >= 0 || defined $wait && $wait < 0;
        # Whatever came before a deadline is taken before the deadline counts.
        my $due = now();
        my ($can_read, $can_write) = ($readable, $writable);
        if (select($can_read, $can_write, undef, $wait) > 0) {
            for my $fd (keys %writer) { $writer{$fd}->() if vec($can_write, $fd, 1) && $writer{$fd} }
            for my $fd (keys %reader) { $reader{$fd}->() if vec($can_read, $fd, 1) && $reader{$fd} }
        }
        while (@timers && (!$timers[0][1] || $timers[0][0] <= $due)) {
            my $timer = shift @timers;
            $timer->[1]->() if $timer->[1];
        }
    }
}
`
