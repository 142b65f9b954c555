/**
 * The probe's perl program, part 4: flows. A flow is one TCP connection or one UDP pair of ports on which
 * client and server send numbered records at a fixed rate, each side only while it is told to.
 */
export const PROBE_FLOWS = String.raw`
my %flows;

$verb{flow} = sub {
    my ($id, $given) = @_;
    my $tcp = $given->{protocol} eq 'tcp';
    my $socket = client($given, $tcp ? SOCK_STREAM : SOCK_DGRAM);
    my $flow = $flows{$id} = {
        tcp => $tcp, step => 1000 / $given->{rate}, client => $socket, state => 'opening',
        up => 0, down => 0, up_sent => 0, down_sent => 0, up_times => [], down_times => [],
        client_out => '', server_out => '',
    };
    my $timer = after($given->{timeout}, sub {
        return if $flow->{state} ne 'opening';
        flow_close($id);
        answer($id, 'timeout');
    });
    my $failed = sub { cancel($timer); flow_close($id); answer($id, shift) };
    $flow->{opened} = sub {
        cancel($timer);
        $flow->{state} = 'open';
        my (undef, $port) = spell(getsockname($socket));
        answer($id, 'open', "fromport=$port", 'peer=' . (spell($flow->{peer}))[0],
            'peerport=' . (spell($flow->{peer}))[1]);
        flow_direct($flow, $given->{up}, $given->{down});
    };
    my $hello = sub {
        on_read($socket, sub { flow_down($flow) });
        flow_send($flow, 'client', "F $id 0\n") or $failed->(why());
    };
    return connected($socket, $given, $failed, $hello) if $tcp;
    connect($socket, endpoint($given->{to}, $given->{port})) or return $failed->(why());
    return $hello->() if !$given->{unanswered};
    cancel($timer);
    @$flow{qw(id state)} = ($id, 'open');
    answer($id, 'open', 'fromport=' . (spell(getsockname($socket)))[1]);
    flow_direct($flow, 1, 0);
};

# A record that reached the server's side; number 0 opens the flow.
sub flow_up {
    my ($id, $number, $socket, $peer) = @_;
    my $flow = $flows{$id} or return;
    ($flow->{server}, $flow->{peer}) = ($socket, $peer);
    return push @{ $flow->{up_times} }, now() if $number;
    $flow->{id} = $id;
    $flow->{opened}->() if $flow->{state} eq 'opening';
}

sub flow_down {
    my ($flow) = @_;
    my $got = sysread($flow->{client}, my $bytes, 65536);
    if (!$got) {
        return if !defined $got && ($!{EAGAIN} || !$flow->{tcp});
        $flow->{state} = 'closed';
        return finish($flow->{client});
    }
    $flow->{client_in} = $flow->{tcp} ? ($flow->{client_in} // '') . $bytes : $bytes;
    while ($flow->{client_in} =~ s/^(.*?)\n//) {
        push @{ $flow->{down_times} }, now() if substr($1, 0, 2) eq 'F ';
    }
}

# True when the record is on its way, or waits behind others of a connection that is stuck.
sub flow_send {
    my ($flow, $side, $record) = @_;
    my $socket = $flow->{$side} // return 0;
    return 0 if !defined fileno $socket;
    if (!$flow->{tcp}) {
        my $sent = $side eq 'client' ? send($socket, $record, 0) : send($socket, $record, 0, $flow->{peer});
        return defined $sent;
    }
    my $waiting = \$flow->{"$side\_out"};
    return 0 if length $$waiting > 65536;
    $$waiting .= $record;
    my $wrote = syswrite($socket, $$waiting);
    substr($$waiting, 0, $wrote, '') if defined $wrote;
    return defined $wrote || $!{EAGAIN};
}

sub flow_tick {
    my ($flow, $due) = @_;
    for my $way (['up', 'client'], ['down', 'server']) {
        my ($direction, $side) = @$way;
        next if !$flow->{$direction};
        my $number = $flow->{"$direction\_sent"} + 1;
        $flow->{"$direction\_sent"} = $number if flow_send($flow, $side, "F $flow->{id} $number\n");
    }
    # After a stall the beat starts anew instead of sending all that was missed at once.
    my $next = $due + $flow->{step};
    $next = now() if $next < now() - 100;
    $flow->{timer} = at($next, sub { flow_tick($flow, $next) });
}

sub flow_direct {
    my ($flow, $up, $down) = @_;
    @$flow{qw(up down)} = ($up, $down);
    cancel($flow->{timer});
    my $now = now();
    flow_tick($flow, $now) if $up || $down;
}

sub flow_close {
    my $flow = delete $flows{ $_[0] } or return;
    cancel($flow->{timer});
    for my $socket ($flow->{client}, $flow->{tcp} ? $flow->{server} : undef) {
        next if !$socket || !defined fileno $socket;
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $flow->{tcp};
        finish($socket);
    }
}

# tcpi_total_retrans of struct tcp_info (option 11)
sub retransmitted {
    my ($socket) = @_;
    return 0 if !$socket || !defined fileno $socket;
    my $info = getsockopt($socket, IPPROTO_TCP, 11) // return 0;
    return length $info < 104 ? 0 : unpack('x100 L', $info);
}

sub longest_gap {
    my ($times, $since) = @_;
    my $count = since($times, $since);
    my ($gap, $last) = (0, undef);
    for my $time ($count ? @$times[-$count .. -1] : ()) {
        $gap = $time - $last if defined $last && $time - $last > $gap;
        $last = $time;
    }
    return sprintf('%.2f', $gap);
}

$verb{flowed} = sub {
    my ($id, $given) = @_;
    my $flow = $flows{ $given->{flow} } or die "no flow\n";
    my @fields = "state=$flow->{state}";
    push @fields, 'retransmitted='
        . ($flow->{tcp} ? retransmitted($flow->{client}) + retransmitted($flow->{server}) : 0);
    for my $way (qw(up down)) {
        my $times = $flow->{"$way\_times"};
        push @fields, "$way\_sent=" . $flow->{"$way\_sent"}, "$way\_received=" . since($times, $given->{since}),
            "$way\_total=" . @$times, "$way\_gap=" . longest_gap($times, $given->{since}),
            "$way\_last=" . (@$times ? $times->[-1] : 0);
    }
    answer($id, 'flowed', @fields);
};

$verb{direct} = sub {
    my ($id, $given) = @_;
    flow_direct($flows{ $given->{flow} } // die("no flow\n"), $given->{up}, $given->{down});
    answer($id, 'directed');
};

$verb{unflow} = sub {
    my ($id, $given) = @_;
    flow_close($given->{flow});
    answer($id, 'closed');
};
`
