/** The probe's perl program, part 3: hand-made packets, and packets seen where they arrive. */
export const PROBE_PACKETS = String.raw`
sub interface_index {
    my ($socket, $name) = @_;
    my $request = pack('a16 x24', $name);
    ioctl($socket, 0x8933, $request) or die "no interface $name\n";
    return unpack('x16 i', $request);
}

# sockaddr_ll: family, protocol, interface, hardware type, packet type, address length, address
sub link_endpoint { return pack('S n i S C C a8', AF_PACKET, $_[1], $_[0], 0, 0, 0, '') }

# When the packet just read from a socket came, as the kernel saw it: a busy machine may read it much later.
sub arrival {
    my ($socket) = @_;
    my $stamp = pack('qq', 0, 0);
    ioctl($socket, 0x8906, $stamp) or return now();
    my ($seconds, $microseconds) = unpack('qq', $stamp);
    my $wall = "\0" x 16;
    syscall($clock_gettime, 0, $wall);
    my ($now_seconds, $now_nanoseconds) = unpack('qq', $wall);
    my $age = ($now_seconds - $seconds) * 1000 + $now_nanoseconds / 1e6 - $microseconds / 1000;
    return now() - ($age > 0 && $age < 60_000 ? $age : 0);
}

# Every packet of a namespace, before its own rules, each told with whether it left or came, and when.
sub sniff {
    my ($namespace, $interface, $code) = @_;
    my $socket = opened($namespace, AF_PACKET, SOCK_DGRAM, unpack('S', pack('n', ETH_P_ALL)));
    if (defined $interface) {
        bind($socket, link_endpoint(interface_index($socket, $interface), ETH_P_ALL)) or die "bind: $!\n";
    }
    on_read($socket, sub {
        while (defined(my $from = recv($socket, my $packet, 65536, 0))) {
            my (undef, undef, undef, undef, $type) = unpack('S n i S C', $from);
            $code->($packet, $type == OUTGOING, arrival($socket));
        }
    });
    return $socket;
}

# What the kernel delivers in a namespace of an IP protocol: behind its rules, told like sniff's.
sub delivered {
    my ($namespace, $six, $protocol, $code) = @_;
    my $socket = opened($namespace, $six ? AF_INET6 : AF_INET, SOCK_RAW, $protocol);
    on_read($socket, sub {
        while (defined recv($socket, my $packet, 65536, 0)) { $code->($packet, 0) }
    });
    return $socket;
}

# inject: sends packet=HEX, as IP (the kernel routes it) or as a frame (link, macs given); with watch=NAMESPACE
# counts arrivals of a packet that holds the bytes match=HEX.
$verb{inject} = sub {
    my ($id, $given) = @_;
    my $packet = pack('H*', $given->{packet});
    my $six = (ord($packet) >> 4) == 6;
    my ($watcher, $timer, $done, $count, $sent) = (undef, undef, 0, 0, 0);
    my $report = sub {
        return if $done++;
        cancel($timer);
        finish($watcher) if $watcher;
        answer($id, 'counted', "count=$count", "sent=$sent");
    };
    my ($socket, $to);
    if (defined $given->{link}) {
        $socket = opened($given->{ns}, AF_PACKET, SOCK_RAW, 0);
        $to = link_endpoint(interface_index($socket, $given->{link}), $six ? 0x86dd : 0x0800);
        $packet = pack('H12 H12 n', $given->{tomac}, $given->{frommac}, $six ? 0x86dd : 0x0800) . $packet;
    } else {
        $socket = opened($given->{ns}, $six ? AF_INET6 : AF_INET, SOCK_RAW, 255);
        $to = endpoint($given->{to}, 0);
    }
    if (defined $given->{watch}) {
        my $match = pack('H*', $given->{match});
        my $seen = sub {
            my ($seen, $left) = @_;
            $report->() if !$left && index($seen, $match) >= 0 && ++$count >= $given->{count};
        };
        my $protocol = ord(substr $packet, defined $given->{link} ? 14 + ($six ? 6 : 9) : $six ? 6 : 9, 1);
        $watcher = $given->{delivered}
            ? delivered($given->{watch}, $six, $protocol, $seen)
            : sniff($given->{watch}, $given->{watchlink}, $seen);
        $timer = after($given->{timeout}, $report);
    }
    for (1 .. $given->{count}) { $sent++ if defined send($socket, $packet, 0, $to) }
    finish($socket);
    $report->() if !$watcher;
};

sub addresses {
    my ($packet) = @_;
    my $six = (ord($packet) >> 4) == 6;
    return () if length $packet < ($six ? 40 : 20);
    my ($protocol, $from, $to, $rest) = $six
        ? (ord(substr $packet, 6, 1), substr($packet, 8, 16), substr($packet, 24, 16), 40)
        : (ord(substr $packet, 9, 1), substr($packet, 12, 4), substr($packet, 16, 4), (ord($packet) & 15) * 4);
    my $family = $six ? AF_INET6 : AF_INET;
    my ($fromport, $toport) = length $packet >= $rest + 4 ? unpack('nn', substr $packet, $rest, 4) : (0, 0);
    my $reset = $protocol == 6 && length $packet > $rest + 13 && ord(substr $packet, $rest + 13, 1) & 4 ? 1 : 0;
    return (protocol => $protocol, from => inet_ntop($family, $from), to => inet_ntop($family, $to),
        fromport => $fromport, toport => $toport, reset => $reset);
}

my %captures;

# capture: times of packets with all the fields given (protocol, from, to, fromport, toport, reset), apart for
# those that came to the namespace and those that left it.
$verb{capture} = sub {
    my ($id, $given) = @_;
    my @wanted = grep { defined $given->{$_} } qw(protocol from to fromport toport reset);
    my %capture = (came => [], left => []);
    $capture{socket} = sniff($given->{ns}, $given->{link}, sub {
        my ($packet, $left, $time) = @_;
        my %seen = addresses($packet) or return;
        for (@wanted) { return if $seen{$_} ne $given->{$_} }
        push @{ $capture{ $left ? 'left' : 'came' } }, $time;
    });
    $captures{$id} = \%capture;
    answer($id, 'capturing');
};

# How many times of an ascending list are at or after a moment.
sub since {
    my ($times, $moment) = @_;
    my $count = 0;
    $count++ while $count < @$times && $times->[-1 - $count] >= $moment;
    return $count;
}

$verb{captured} = sub {
    my ($id, $given) = @_;
    my $capture = $captures{ $given->{capture} } or die "no capture\n";
    answer($id, 'captured', map { "$_=" . since($capture->{$_}, $given->{since}) } qw(came left));
    return if !$given->{stop};
    finish($capture->{socket});
    delete $captures{ $given->{capture} };
};
`
