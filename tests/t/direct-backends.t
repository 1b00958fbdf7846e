#!/usr/bin/perl

# Direct calls to backends of every kind: HTTP/2, IPv6, names with several
# addresses, one that hangs in its handshake, one that is faster than whoever
# takes its responses.

use strict;
use warnings;
no warnings 'exec';

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use IO::Socket::INET;
use IO::Socket::IP;
use Test::More;

my $slow = ($ENV{ASAN_OPTIONS} || $ENV{VALGRIND_OPTS}) ? 4 : 1;

my $dir = File::Temp::tempdir(CLEANUP => 1);
chmod 0755, $dir;

my ($port, $tls, $nghttpd, $six) = map { free_port() } 1 .. 4;
my ($crt, $key) = Driver::certificate($dir, 'localhost');

my $echo = backend(sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);
    print $s "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ",
        length $body, "\r\n\r\n", $body;
});

# accepts, and says nothing

my $mute = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1')
    or die "listen: $!";
$mute->blocking(0);

my $ipv6 = IO::Socket::IP->new(Listen => 1, LocalHost => '::1') ? 1 : 0;

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    client_body_buffer_size 16k;
    client_max_body_size 64m;
    send_timeout 300s;

    async_queue large concurrency=100;

    server {
        listen 127.0.0.1:$port;
        async on;
        async_ssl_trusted_certificate $crt;

        location /h2/ { async_pass https://localhost:$tls/; }
        location /large/ {
            async on queue=large;
            async_wait 60s;
            async_pass https://localhost:$tls/large/;
        }
        location /nghttpd/ { async_pass https://localhost:$nghttpd/; }
        location /mute/ {
            async_pass https://127.0.0.1:@{[ $mute->sockport ]};
        }
        location /six/ { async_pass http://[::1]:$six/x/; }
        location /named6/ { async_pass http://localhost:$six/x/; }
        location /named4/ { async_pass http://localhost:$port/files/; }

        location /files/ { async off; alias $dir/files/; }
        location /jobs/ { async_jobs; }
    }

    server {
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $crt;
        ssl_certificate_key $key;
        client_max_body_size 64m;

        location / { return 200 "\$connection \$server_protocol"; }
        location /echo { proxy_pass http://127.0.0.1:$echo; }
        location /large/ { alias $dir/files/; }
    }

    @{[ $ipv6 ? "server {
        listen [::1]:$six ipv6only=on;
        location / { return 200 \"six \$http_host \$request_uri\"; }
    }" : '' ]}
END

mkdir "$dir/files";
{
    open my $f, '>', "$dir/files/large" or die;
    truncate $f, 32 << 20;
    open $f, '>', "$dir/files/small" or die;
    print $f 'small';
}


sub submit_all
{
    my ($n, $target) = @_;

    return map { $nginx->request(GET => "$target$_")
                     ->{headers}{'operation-location'} } 1 .. $n;
}


# the bodies of the results of jobs that have all succeeded

sub results
{
    my (@jobs) = @_;

    return map {
        my $d = $nginx->wait_job($_, 30 * $slow) // {};
        is($d->{status}, 'succeeded', 'a call')
            or diag($d->{error}{message} // 'not ended');
        $nginx->request(GET => "$_/result")->{content};
    } @jobs;
}


sub result { return (results($nginx->submit(@_)))[0] }


sub private
{
    my ($pid) = $nginx->workers;
    open my $f, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kb) = join('', <$f>) =~ /^Private_Dirty:\s+(\d+)/m;
    return $kb;
}


subtest '100 calls share few HTTP/2 connections, nginx' => sub {
    my %seen = map { $_ => 1 } results(submit_all(100, '/h2/'));

    cmp_ok(scalar keys %seen, '<=', 4, 'at most 4 connections');
    like((keys %seen)[0], qr/HTTP\/2/, 'of HTTP/2');
};


subtest '100 calls share few HTTP/2 connections, nghttpd' => sub {
    plan skip_all => 'no nghttpd' if system('nghttpd --version > /dev/null');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/nghttpd.log";
        open STDERR, '>&', \*STDOUT;
        exec 'nghttpd', '-v', '-a', '127.0.0.1', '-d', "$dir/files",
            $nghttpd, $key, $crt;
        POSIX::_exit(127);
    }

    ok(until_true(10, sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $nghttpd)
    }), 'it is there');

    my $started = -s "$dir/nghttpd.log";
    my @bodies = results(submit_all(100, '/nghttpd/small?'));

    is_deeply([ grep { $_ ne 'small' } @bodies ], [], 'all of the responses');

    open my $f, '<', "$dir/nghttpd.log" or die;
    my %seen;
    while (<$f>) {
        $seen{$1}++ if /^\[id=(\d+)\].* recv HEADERS frame/;
    }

    my $calls = 0;
    $calls += $_ for values %seen;

    is($calls, 100, 'each was sent once');
    cmp_ok(scalar keys %seen, '<=', 4, 'at most 4 connections');

    kill 'TERM', $pid;
    waitpid $pid, 0;
};


subtest 'a body in a file over HTTP/2' => sub {
    my $body = join '', map { pack 'N', $_ * 2654435761 % 4294967296 }
                            1 .. 2_000_000;

    ok(result(PUT => '/h2/echo', body => $body) eq $body, 'arrives whole');
};


subtest 'a response that nobody takes' => sub {

    my $size = 32 << 20;

    # a client that reads so much of a response, and then no more

    my $take = sub {
        my ($s, $n) = @_;
        my $got = 0;

        local $SIG{ALRM} = sub { die "nothing came\n" };

        while ($got < $n) {
            alarm 30 * $slow;
            my $len = sysread($s, my $buf, 1 << 16) or last;
            $got += $len;
        }

        alarm 0;

        return $got;
    };

    my $begin = sub {
        my ($n) = @_;
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $port) or die;
        print $s "GET /large/large HTTP/1.1\r\nHost: x\r\n"
            . "Connection: close\r\n\r\n";

        return ($s, $take->($s, $n));
    };

    # After those that had to wait the next ones of their location are alone on
    # their connections.  The last one waits while the others are taken.

    my @clients = map { [ $begin->(1) ] } 1 .. 5;
    $take->($_->[0], 2 * $size) for @clients;

    my $before = private();

    @clients = map { [ $begin->(1) ] } 1 .. 10;

    # what others want of the same backend goes on

    results(submit_all(10, '/h2/')) for 1 .. 5;

    my $grown = private() - $before;
    cmp_ok($grown, '<', 16 << 10, 'is not kept in memory');
    diag("$grown KiB") if $ENV{VERBOSE};

    # and it is all there when it is taken

    for my $c (@clients[0, 9]) {
        cmp_ok($c->[1] + $take->($c->[0], 2 * $size), '>', $size, 'nor lost');
    }
};


subtest 'a backend that hangs in its handshake' => sub {
    my @jobs = submit_all(8, '/mute/');
    my @accepted;

    like(result(GET => '/h2/x'), qr/HTTP/, 'does not hold up others');

    ok(until_true(40 * $slow, sub {
        my $s = $mute->accept;
        push @accepted, $s if $s;
        return @accepted == 8;
    }), 'nor the calls to itself') or diag(scalar(@accepted), ' connections');

    is($nginx->json($_)->{status}, 'running', 'none has failed') for @jobs;

    $nginx->request(DELETE => $_) for @jobs;
};


subtest 'IPv6' => sub {
    plan skip_all => 'no IPv6' unless $ipv6;

    is(result(GET => '/six/y?z'), "six [::1]:$six /x/y?z",
       'an address in the URL');

    plan skip_all => 'localhost has no IPv6 address'
        if `getent ahostsv6 localhost` !~ /^::1\s/m;

    is(result(GET => '/named6/y'), "six localhost:$six /x/y",
       'the one of a name');
};


subtest 'a name of which one address does not answer' => sub {
    is(result(GET => '/named4/small'), 'small', 'another one does');
};


$nginx->stop;

done_testing;
