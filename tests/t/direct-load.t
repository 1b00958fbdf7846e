#!/usr/bin/perl

# Ten thousand direct calls to backends that fail in every way: each ends with
# its reason, and nothing is left over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $slow = ($ENV{ASAN_OPTIONS} || $ENV{VALGRIND_OPTS}) ? 10 : 1;
my $calls = $slow > 1 ? 1000 : 10000;

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $port = free_port();

my $large = "HTTP/1.1 200 OK\r\n"
    . join('', map { "X-$_: " . 'x' x 1000 . "\r\n" } 1 .. 70) . "\r\n";

my %answer = (
    garbage => "\x16\x03\x01 this is no HTTP\r\n\r\n",
    field => "HTTP/1.1 200 OK\r\nbad field: 1\r\n\r\n",
    large => $large,
    short => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    chunk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "5\r\nshort\r\n",
    closed => '',
    fine => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
);

my $bad = backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($what) = $head =~ m{^\S+ /bad/(\w+)} or return;

    return setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0)
        if $what eq 'reset';

    print $s $answer{$what};
});

# one that speaks no TLS

my $no_tls = backend(sub {
    my ($s) = @_;
    sysread $s, my $buf, 65536;
    print $s "HTTP/1.1 400 Bad Request\r\n\r\n";
});

# one that never answers, and sees its connections go

my $mute = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1')
    or die "listen: $!";
my $parent = $$;
my $mute_pid = fork // die "fork: $!";

if ($mute_pid == 0) {
    my $all = IO::Select->new($mute);

    while (getppid == $parent) {
        for my $s ($all->can_read(1)) {
            if ($s == $mute) {
                my $new = $mute->accept;
                $all->add($new) if $new;

            } elsif (!sysread $s, my $buf, 4096) {
                $all->remove($s);
                close $s;
            }
        }
    }

    POSIX::_exit(0);
}

my $nginx = Driver->new(port => $port, dir => $dir, connections => 256,
                        http => <<"END");
    keepalive_requests 1000000;
    async_queue default concurrency=64 backlog=100000;

    server {
        listen 127.0.0.1:$port;
        async on;

        location /bad/ { async_pass http://127.0.0.1:$bad; }
        location /mute/ {
            async_pass http://127.0.0.1:@{[ $mute->sockport ]};
            async_timeout 100ms;
        }
        location /hang/ {
            async_pass https://127.0.0.1:@{[ $mute->sockport ]};
            async_timeout 100ms;
        }
        location /refused/ { async_pass http://127.0.0.1:1; }
        location /plain/ { async_pass https://127.0.0.1:$no_tls/; }

        location /jobs/ { async_jobs; }
        location = /metrics { async_metrics; }
        location = /connections { async off; stub_status; }
    }
END

# what is asked for, its code and what its message has

my @what = (
    [ 'bad/reset', 'interrupted', qr/reset/i ],
    [ 'bad/closed', 'interrupted', qr/empty reply/i ],
    [ 'bad/short', 'interrupted', qr/bytes remaining/ ],
    [ 'bad/chunk', 'interrupted', qr/closed|chunk/ ],
    [ 'bad/garbage', 'bad_response', qr/HTTP/ ],
    [ 'bad/field', 'bad_response', qr/header field/ ],
    [ 'bad/large', 'bad_response', qr/too large/ ],
    [ 'mute/x', 'timeout', qr/async_timeout/ ],
    [ 'hang/x', 'timeout', qr/async_timeout/ ],
    [ 'refused/x', 'connect_failed', qr/connect/i ],
    [ 'plain/x', 'tls_failed', qr/./ ],
);


# requests on a few connections, and their responses: [status, head, body]

sub pipeline
{
    my (@requests) = @_;

    my @connections = map {
        [ IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
            // die("connect: $!"), '' ]
    } 1 .. (@requests < 8 ? 1 : 8);

    my @answers;
    local $SIG{ALRM} = sub { die "no response\n" };

    while (@requests) {
        alarm 60 * $slow;

        my @busy = map { [ $_, splice @requests, 0, 25 ] } @connections;

        for (@busy) {
            my ($c, @some) = @$_;
            print { $c->[0] } @some;
        }

        for (@busy) {
            my ($c, @some) = @$_;
            push @answers, map { answer($c) } @some;
        }
    }

    alarm 0;

    return @answers;
}


sub answer
{
    my ($c) = @_;
    my ($s) = @$c;

    until ($c->[1] =~ /\r\n\r\n/) {
        sysread $s, $c->[1], 65536, length $c->[1] or die "closed: $!";
    }

    my ($head) = $c->[1] =~ /^(.*?\r\n\r\n)/s;
    my ($status) = $head =~ /^HTTP\S+ (\d+)/;
    my $len = $head =~ /^Content-Length: (\d+)/m ? $1 : 0;

    until (length $c->[1] >= length($head) + $len) {
        sysread $s, $c->[1], 65536, length $c->[1] or die "closed: $!";
    }

    my $body = substr $c->[1], length $head, $len;
    $c->[1] = substr $c->[1], $len + length $head;

    return [ $status, $head, $body ];
}


sub text
{
    my ($method, $uri) = @_;

    return "$method $uri HTTP/1.1\r\nHost: x\r\n"
        . ($method eq 'POST' ? "Content-Length: 1\r\n\r\nx" : "\r\n");
}


sub metric
{
    my ($name) = @_;

    my ($answer) = pipeline(text(GET => '/metrics'));
    my ($value) = $answer->[2] =~ /^ngx_async_\Q$name\E (\d+)$/m;

    return $value // die "no $name";
}


sub descriptors
{
    my ($pid) = $nginx->workers;
    return scalar(() = glob "/proc/$pid/fd/*");
}


# so many calls, to their end, and the removal of their jobs

sub round
{
    my ($n, @kinds) = @_;

    my @answers = pipeline(map { text(POST => "/$kinds[$_ % @kinds][0]") }
                               1 .. $n);
    my @jobs = map {
        $_->[1] =~ m{^Operation-Location: http://[^/]+(\S+)}m ? $1 : ()
    } @answers;

    is(scalar @jobs, $n, "$n calls are accepted");

    my $idle = until_true(120 * $slow, sub {
        metric('jobs_running{queue="default"}') == 0
            && metric('jobs_waiting{queue="default"}') == 0
    });

    ok($idle, 'and end, all of them');

    my (%other, %wrong);
    my @documents = pipeline(map { text(GET => $_) } @jobs);

    for my $i (0 .. $#documents) {
        my $kind = $kinds[($i + 1) % @kinds];
        my $d = eval { decode_json($documents[$i][2]) } // {};

        if (!defined $kind->[1]) {
            $wrong{"$kind->[0]: $d->{status}"}++
                if $d->{status} ne 'succeeded';

        } elsif ($d->{status} ne 'failed'
                 || $d->{error}{code} ne $kind->[1]
                 || $d->{error}{message} !~ $kind->[2])
        {
            $wrong{join ' ', "$kind->[0]:", $d->{status},
                $d->{error}{code} // '', $d->{error}{message} // ''}++;
        }
    }

    is_deeply(\%wrong, {}, 'each with its reason');

    $other{$_->[0]}++ for pipeline(map { text(DELETE => $_) } @jobs);
    is_deeply(\%other, { 204 => $n }, 'their jobs are removed');
}


subtest 'what there is before' => sub { round(4 * @what, @what) };

my $descriptors = descriptors();
my $used = metric('store_used_bytes');

subtest 'every way to fail' => sub { round($calls, @what) };

ok(until_true(10 * $slow, sub { descriptors() <= $descriptors }),
   'no descriptor is left over')
    or diag("$descriptors before, ", descriptors(), ' after');

my ($answer) = pipeline(text(GET => '/connections'));
like($answer->[2], qr/^Active connections: 1 $/m, 'no connection of a client');

# some pages are those of the store's own list of free ones

my $bytes;
ok(until_true(10 * $slow, sub {
    ($bytes = metric('store_used_bytes')) <= $used + 65536
}), 'no byte of the store') or diag("$used before, $bytes after");

# more than the slots of connections that a leak would have left

subtest 'all slots are free' => sub { round(256, [ 'bad/fine' ]) };


kill 'TERM', $mute_pid;
waitpid $mute_pid, 0;

$nginx->stop;

done_testing;
