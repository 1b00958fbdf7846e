#!/usr/bin/perl

# Direct calls to backends that fail in every way: each job ends with its
# reason, and nothing is left over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $port = free_port();
my $count = "$dir/count";

# what it does is in the target; each request is counted in a file

my $bad = backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($what) = $head =~ m{^\S+ /bad/(\w+)};

    open my $f, '>>', $count;
    print $f "$what\n";
    close $f;

    if ($what eq 'reset') {
        setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);

    } elsif ($what eq 'garbage') {
        print $s "\x16\x03\x01 this is no HTTP\r\n\r\n";

    } elsif ($what eq 'status') {
        print $s "HTTP/1.1 2x0 OK\r\n\r\n";

    } elsif ($what eq 'field') {
        print $s "HTTP/1.1 200 OK\r\nbad field: 1\r\n\r\n";

    } elsif ($what eq 'upgrade') {
        print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";

    } elsif ($what eq 'large') {
        print $s "HTTP/1.1 200 OK\r\n";
        print $s "X-$_: ", 'x' x 1000, "\r\n" for 1 .. 200;
        print $s "\r\n";

    } elsif ($what eq 'short') {
        print $s "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort";

    } elsif ($what eq 'chunk') {
        print $s "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "5\r\nshort\r\n";

    } elsif ($what eq 'fine') {
        print $s "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
    }
});

# one that accepts and never answers

my $mute = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1');

my @good = Driver::certificate($dir, 'localhost');
my @other = Driver::certificate($dir, 'other.example');

# one whose backlog is full: connections to it are never made

my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my $full_port = $full->sockport;
my @crowd = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                      PeerPort => $full_port, Blocking => 0) } 1 .. 8;

# a label that is too long for any server of names to be asked

my $unknown = 'x' x 64 . '.example';

my ($tls, $tls_other, $tls_expired) = (free_port(), free_port(), free_port());

my @expired = do {
    mkdir "$dir/expired";
    Driver::certificate("$dir/expired", 'localhost', to => '20200102000000Z');
};

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    async_queue pausing pause_on=error pause=1s concurrency=1;

    server {
        listen 127.0.0.1:$port;
        async on;

        location /bad/ { async_pass http://127.0.0.1:$bad; }
        location /mute/ {
            async_pass http://127.0.0.1:@{[ $mute->sockport ]};
            async_timeout 500ms;
        }
        location /full/ {
            async_pass http://127.0.0.1:$full_port;
            async_timeout 500ms;
        }
        location /full-retried/ {
            async_pass http://127.0.0.1:$full_port;
            async_timeout 200ms;
            async_retry timeout tries=2 backoff=1ms;
        }
        location /full-paused/ {
            async on queue=pausing;
            async_pass http://127.0.0.1:$full_port;
            async_timeout 200ms;
        }
        location /long/ {
            async_pass http://127.0.0.1:@{[ $mute->sockport ]};
        }
        location /refused/ { async_pass http://127.0.0.1:1; }
        location /retried/ {
            async_retry error tries=2 backoff=1ms;
            async_pass http://127.0.0.1:1;
        }
        location /variable/ { async_pass http://\$arg_h/; }
        location /line/ {
            async_pass http://127.0.0.1:$bad;
            set \$x "a
b";
            async_set_header Y \$x;
        }
        location /unknown/ { async_pass http://$unknown; }

        location /tls/ { async_pass https://localhost:$tls; }
        location /tls-trusted/ {
            async_pass https://localhost:$tls;
            async_ssl_trusted_certificate $good[0];
        }
        location /tls-off/ {
            async_pass https://localhost:$tls;
            async_ssl_verify off;
        }
        location /tls-name/ {
            async_pass https://localhost:$tls_other;
            async_ssl_trusted_certificate $other[0];
        }
        location /tls-expired/ {
            async_pass https://localhost:$tls_expired;
            async_ssl_trusted_certificate $expired[0];
        }
        location /h2/ {
            async_pass https://localhost:$tls;
            async_ssl_trusted_certificate $good[0];
        }

        location /jobs/ { async_jobs; }
        location /alive { async off; return 204; }
    }

    server {
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $good[0];
        ssl_certificate_key $good[1];
        location / { return 200 "\$connection \$server_protocol"; }
    }

    server {
        listen 127.0.0.1:$tls_other ssl;
        ssl_certificate $other[0];
        ssl_certificate_key $other[1];
    }

    server {
        listen 127.0.0.1:$tls_expired ssl;
        ssl_certificate $expired[0];
        ssl_certificate_key $expired[1];
    }
END


sub requests
{
    my ($what) = @_;

    open my $f, '<', $count or return 0;
    return scalar grep { $_ eq "$what\n" } <$f>;
}


sub descriptors
{
    my ($pid) = $nginx->workers;
    return scalar(() = glob "/proc/$pid/fd/*");
}


sub fails
{
    my ($method, $target, $code, $message) = @_;

    my $job = $nginx->submit($method => $target,
                             $method eq 'GET' ? () : (body => 'x'));
    my $d = $nginx->wait_job($job, 20);

    is($d->{status}, 'failed', "$method $target fails");
    is($d->{error}{code}, $code, 'its code');
    like($d->{error}{message}, $message, 'its message');

    return $d;
}


subtest 'responses that are none' => sub {
    fails(GET => '/bad/garbage', 'bad_response', qr/HTTP/);
    fails(GET => '/bad/status', 'bad_response', qr/./);
    fails(GET => '/bad/field', 'bad_response', qr/header field/);
    fails(GET => '/bad/upgrade', 'bad_response', qr/protocol/);
    fails(GET => '/bad/large', 'bad_response', qr/too large/);

    is(requests('large'), 1, 'and are not asked for again');
};


subtest 'responses that are cut off' => sub {
    for my $what (qw(reset short chunk)) {
        fails(POST => "/bad/$what", 'interrupted', qr/./);
        is(requests($what), 1, 'a POST is sent once');

        fails(PUT => "/bad/$what", 'interrupted', qr/./);
        is(requests($what), 5, 'a PUT is sent again, three times');
    }
};


subtest 'time is over' => sub {
    fails(POST => '/mute/x', 'timeout', qr/async_timeout/);

    my $d = fails(POST => '/full/x', 'timeout', qr/async_timeout/);
    is($d->{attempt}, 1, 'also if there was no connection');

    $d = fails(POST => '/full-retried/x', 'timeout', qr/async_timeout/);
    is($d->{attempt}, 2, 'what was never sent is tried as async_retry says');

    $d = fails(POST => '/full-paused/x', 'timeout', qr/async_timeout/);
    is($d->{attempt}, 1, 'a queue that pauses on errors does not mind');
};


subtest 'no connection' => sub {
    fails(POST => '/refused/x', 'connect_failed', qr/connect/i);
    fails(GET => '/unknown/x', 'resolve_failed', qr/$unknown/);

    my $d = fails(GET => '/retried/x', 'connect_failed', qr/connect/i);
    is($d->{attempt}, 2, 'async_retry applies');
};


subtest 'no URL, no field' => sub {
    for my $uri ('/variable/x', '/variable/x?h=', '/variable/x?h=a%20b@c',
                 '/line/x')
    {
        my $r = $nginx->request(POST => $uri, body => 'x');

        is($r->{status}, 500, "$uri: 500");
        like($r->{content}, qr/urn:ngx-async:problem:direct-call/,
             "$uri: its problem");
        like($r->{content}, qr/async_pass/, "$uri: with what is wrong");
        is($r->{headers}{'async-id'}, undef, "$uri: there is no job");
    }
};


subtest 'certificates' => sub {
    fails(GET => '/tls/x', 'tls_certificate', qr/self.signed/);
    fails(GET => '/tls-name/x', 'tls_certificate', qr/name/);
    fails(GET => '/tls-expired/x', 'tls_certificate', qr/expired/);

    for my $location (qw(tls-trusted tls-off)) {
        my $d = $nginx->wait_job($nginx->submit(GET => "/$location/x"));
        is($d->{status}, 'succeeded', "/$location/ works");
    }
};


subtest 'many calls share few HTTP/2 connections' => sub {
    my @jobs = map { $nginx->request(GET => "/h2/$_")
                         ->{headers}{'operation-location'} } 1 .. 100;
    my %connections;

    for my $job (@jobs) {
        $nginx->wait_job($job);
        my $r = $nginx->request(GET => "$job/result");
        $connections{$r->{content}}++;
    }

    cmp_ok(scalar keys %connections, '<=', 4, 'at most 4 connections');
    like((keys %connections)[0], qr/HTTP\/2/, 'of HTTP/2');
};


subtest 'cancel' => sub {
    my $job = $nginx->submit(POST => '/long/x', body => 'x');
    my $s;

    # the backend's side of the call, after that of the timeout's

    until_true(5, sub {
        $s = $mute->accept;
        my ($head) = Driver::read_request($s);
        return $head =~ m{/long/};
    });

    is($nginx->request(DELETE => $job)->{status}, 202, 'a call is canceled');
    is($nginx->wait_job($job)->{status}, 'canceled', 'its job is, too');

    my $n = sysread $s, my $buf, 1;
    is($n, 0, 'the backend sees the end');
};


subtest 'nothing is left over' => sub {
    my @what = (qw(bad/reset bad/garbage bad/large bad/short refused/x
                   tls/x mute/x));

    my $round = sub {
        my @jobs = map { $nginx->request(GET => "/$what[$_ % @what]")
                             ->{headers}{'operation-location'} } 1 .. 140;
        $nginx->wait_job($_, 20) for @jobs;
    };

    $round->();
    my $before = descriptors();

    $round->() for 1 .. 3;

    ok(until_true(5, sub { descriptors() <= $before }), 'no descriptor')
        or diag("$before before, ", descriptors(), ' after');

    my $job = $nginx->submit(GET => '/bad/fine');
    is($nginx->wait_job($job)->{status}, 'succeeded', 'the next one works');
};


$nginx->stop;

done_testing;
