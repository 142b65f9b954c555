/** The probe's perl program, part 2: TCP, UDP and echo through ordinary sockets, and the servers for them. */
export const PROBE_SOCKETS = String.raw`
sub endpoint {
    my ($address, $port) = @_;
    my ($error, @found) = getaddrinfo($address, $port,
        { flags => AI_NUMERICHOST | AI_NUMERICSERV, socktype => SOCK_STREAM });
    die "bad address $address\n" if $error || !@found;
    return $found[0]{addr};
}

sub spell {
    my ($endpoint) = @_;
    my ($port, $address) = sockaddr_family($endpoint) == AF_INET
        ? unpack_sockaddr_in($endpoint) : unpack_sockaddr_in6($endpoint);
    return (inet_ntop(sockaddr_family($endpoint), $address), $port);
}

sub opened {
    my ($namespace, $family, $type, $protocol) = @_;
    enter($namespace);
    socket(my $socket, $family, $type | SOCK_NONBLOCK, $protocol) or die "socket: $!\n";
    $space{ fileno $socket } = [$namespace, $socket];
    return $socket;
}

sub client {
    my ($given, $type) = @_;
    my $family = index($given->{to}, ':') < 0 ? AF_INET : AF_INET6;
    my $socket = opened($given->{ns}, $family, $type, 0);
    if (defined $given->{from} || $given->{fromport}) {
        setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
        my $any = $family == AF_INET ? '0.0.0.0' : '::';
        bind($socket, endpoint($given->{from} // $any, $given->{fromport} // 0))
            or do { my $why = $!; finish($socket); die "bind: $why\n" };
    }
    return $socket;
}

sub why {
    return 'refused' if $!{ECONNREFUSED};
    return 'reset' if $!{ECONNRESET};
    return 'unreachable' if $!{EHOSTUNREACH} || $!{ENETUNREACH};
    return 'prohibited' if $!{EPERM} || $!{EACCES};
    return 'timeout' if $!{ETIMEDOUT};
    return 'error' . ($! + 0);
}

# One answer per request, then the socket goes. A reset instead of a slow close leaves no TIME_WAIT behind.
sub ending {
    my ($id, $given, $socket) = @_;
    my $started = now();
    my ($timer, $done);
    my $end = sub {
        return if $done++;
        cancel($timer);
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $given->{reset};
        finish($socket);
        answer($id, shift, sprintf('ms=%.2f', now() - $started), @_);
    };
    $timer = after($given->{timeout} // 300, sub { $end->('timeout') });
    return $end;
}

sub connected {
    my ($socket, $given, $end, $then) = @_;
    connect($socket, endpoint($given->{to}, $given->{port})) or $!{EINPROGRESS} or return $end->(why());
    on_write($socket, sub {
        on_write($socket, undef);
        local $! = unpack('i', getsockopt($socket, SOL_SOCKET, SO_ERROR));
        return $end->(why()) if $! + 0;
        $then->();
    });
}

# Established counts only when the server's word has come back too. With send=HEX: everything until the end.
$verb{tcp} = sub {
    my ($id, $given) = @_;
    my $socket = client($given, SOCK_STREAM);
    my $end = ending($id, { %$given, reset => 1 }, $socket);
    my $got = '';
    connected($socket, $given, $end, sub {
        return $end->('open') if $given->{silent};
        syswrite($socket, pack('H*', $given->{send})) if defined $given->{send};
        on_read($socket, sub {
            my $read = sysread($socket, $got, 65536, length $got);
            return if !defined $read && $!{EAGAIN};
            return $end->(why()) if !defined $read;
            return $end->('open', 'data=' . unpack('H*', $got)) if defined $given->{send} && $read == 0;
            return $end->('closed') if $read == 0;
            $end->('open', "peer=$1", "peerport=$2") if !defined $given->{send} && $got =~ /^PEER (\S+) (\d+)\n/;
        });
    });
};

$verb{udp} = sub {
    my ($id, $given) = @_;
    my $socket = client($given, SOCK_DGRAM);
    my $end = ending($id, $given, $socket);
    # A port of its own, if it is free: a port chosen at random may belong to a question of before that connection
    # tracking still remembers.
    my $any = index($given->{to}, ':') < 0 ? '0.0.0.0' : '::';
    bind($socket, endpoint($any, 30000 + substr($id, 1) % 30000)) if !defined $given->{from} && !$given->{fromport};
    connect($socket, endpoint($given->{to}, $given->{port})) or return $end->(why());
    defined syswrite($socket, "E $id") or return $end->(why());
    on_read($socket, sub {
        defined sysread($socket, my $got, 65536) or return $!{EAGAIN} ? undef : $end->(why());
        $end->('open', "peer=$1", "peerport=$2") if $got =~ /^PEER (\S+) (\d+) E $id$/;
    });
};

# Datagrams that are counted where they arrive: any UDP server of this process tells.
$verb{oneway} = sub {
    my ($id, $given) = @_;
    my $socket = client($given, SOCK_DGRAM);
    my $end = ending($id, { %$given, timeout => 600_000 }, $socket);
    my ($count, $sent, $peer) = (0, 0, '-');
    my $report = sub {
        delete $arrivals{$id};
        $end->('counted', "count=$count", "sent=$sent", "peer=$peer");
    };
    $arrivals{$id} = sub { $peer = (spell($_[0]))[0]; $report->() if ++$count == $given->{count} };
    after($given->{timeout}, $report);
    my $to = endpoint($given->{to}, $given->{port});
    for (1 .. $given->{count}) { $sent++ if defined send($socket, "O $id", 0, $to) }
};

$verb{ping} = sub {
    my ($id, $given) = @_;
    my $six = index($given->{to}, ':') >= 0;
    my $socket = opened($given->{ns}, $six ? AF_INET6 : AF_INET, SOCK_RAW, $six ? 58 : 1);
    my $end = ending($id, $given, $socket);
    # An identifier of its own: to connection tracking the echo would else go on with the one before.
    my $body = pack('nnA16', substr($id, 1) & 0xffff, 1, $id);
    my $packet = pack('CCn', $six ? 128 : 8, 0, 0) . $body;
    substr($packet, 2, 2) = pack('n', checksum($packet)) if !$six;
    on_read($socket, sub {
        my $from = recv($socket, my $got, 65536, 0) // return;
        $got = substr($got, (ord($got) & 15) * 4) if !$six;
        return if length $got < 4 || ord($got) != ($six ? 129 : 0) || substr($got, 4) ne $body;
        $end->('open', 'peer=' . (spell($from))[0]);
    });
    defined send($socket, $packet, 0, endpoint($given->{to}, 0)) or $end->(why());
};

sub checksum {
    my ($bytes) = @_;
    $bytes .= "\0" if length($bytes) % 2;
    my $sum = unpack('%32n*', $bytes);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

$verb{listen} = sub {
    my ($id, $given) = @_;
    my $tcp = $given->{protocol} eq 'tcp';
    my $family = index($given->{at}, ':') < 0 ? AF_INET : AF_INET6;
    my $server = opened($given->{ns}, $family, $tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    setsockopt($server, SOL_SOCKET, SO_REUSEADDR, 1);
    setsockopt($server, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $family == AF_INET6;
    (bind($server, endpoint($given->{at}, $given->{port})) && (!$tcp || listen($server, 512)))
        or do { my $why = $!; finish($server); die "listen: $why\n" };
    on_read($server, $tcp ? sub { accepted($server, $given->{ns}) } : sub { datagram($server) });
    answer($id, 'listening');
};

sub accepted {
    my ($server, $namespace) = @_;
    while (my $peer = accept(my $socket, $server)) {
        $space{ fileno $socket } = [$namespace, $socket];
        fcntl($socket, F_SETFL, SOCK_NONBLOCK);
        syswrite($socket, 'PEER ' . join(' ', spell($peer)) . "\n");
        my $got = '';
        on_read($socket, sub {
            my $read = sysread($socket, $got, 65536, length $got);
            return if !defined $read && $!{EAGAIN};
            return finish($socket) if !$read;
            while ((my $end = index($got, "\n")) >= 0) {
                my $line = substr($got, 0, $end + 1, '');
                if ($line =~ /^F (\S+) (\d+)/) { flow_up($1, $2, $socket, $peer) } else { syswrite($socket, $line) }
            }
        });
    }
}

sub datagram {
    my ($server) = @_;
    while (defined(my $peer = recv($server, my $got, 65536, 0))) {
        if ($got =~ /^O (\S+)/) { $arrivals{$1}->($peer) if $arrivals{$1} }
        elsif ($got =~ /^F (\S+) (\d+)/) { flow_up($1, $2, $server, $peer) }
        # Two servers that answer each other's answers would never stop.
        elsif ($got !~ /^PEER /) { send($server, 'PEER ' . join(' ', spell($peer)) . " $got", 0, $peer) }
    }
}

# A namespace lives as long as a socket of it: whoever removes one says so first.
$verb{forget} = sub {
    my ($id, $given) = @_;
    for my $entry (values %space) { finish($entry->[1]) if $entry->[0] eq $given->{ns} }
    answer($id, 'forgotten');
};
`
