#!/usr/bin/perl

# Cancels close the connection to the backend; clients that leave disturb
# nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request slurp);
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $backend = NgxAsync::Backend->new;

# each worker has a port of its own besides the common one

my $nginx = NgxAsync->new(workers => 2,
    http => 'async_queue default concurrency=2;'
        . ' async_queue one concurrency=1;',
    locations => <<"END");
        location / { async on; proxy_pass $backend->{url}; }
        location /one/ { async on queue=one; proxy_pass $backend->{url}; }
        location /held/ {
            async on;
            async_wait 30s;
            proxy_pass $backend->{url};
        }
        location /unbuffered/ {
            async on;
            proxy_buffering off;
            proxy_pass $backend->{url};
        }
END

my $port = $nginx->{port};


sub cancel
{
    my ($how, $id) = @_;

    return $how eq 'DELETE'
        ? request($port, 'DELETE', "/jobs/$id")
        : request($port, 'POST', "/jobs/$id/cancel");
}


# while the backend works, whichever worker is asked

for my $how ('DELETE', 'cancel') {
    for my $i (1 .. 8) {
        my $token = "c$how$i";
        my $id = $nginx->submit($i % 2 ? 'GET' : 'POST',
                                "/?token=$token&gate=never");
        $backend->wait_for($token);

        my $r = cancel($how, $id);

        $r->{status} == 202 or fail("$how answers 202, not $r->{status}");

        ok($backend->wait_for($token, 'closed'),
           "$how closes the connection to the backend");
        is($nginx->status($id), 'canceled', 'the job is canceled');

        $r = $nginx->request_to('GET', "/jobs/$id/result");
        is($r->{status}, 404, 'it has no result');
    }
}


# while the response comes, slowly or faster than it can be stored

for (['/', 'pieces=400&gap=20&size=40000'],
     ['/unbuffered/', 'pieces=400&gap=20&size=40000'],
     ['/', 'size=200000000'])
{
    my ($uri, $q) = @$_;
    my $token = 'r' . int rand 1e9;
    my $id = $nginx->submit('GET', "$uri?token=$token&$q");

    $backend->wait_for($token);
    is(cancel('DELETE', $id)->{status}, 202, 'canceled in its response');
    ok(wait_until(sub { $backend->seen($token, 'closed')
                        || $backend->seen($token, 'end') }),
       'the connection is closed');
    is($nginx->status($id), 'canceled', 'the job is canceled');
}


# while it waits in the queue

my $block = $nginx->submit('GET', '/one/?token=block&gate=one');
$backend->wait_for('block');

my @waiting = map { $nginx->submit('POST', "/one/?token=w$_") } 1 .. 4;

is(cancel('DELETE', $waiting[1])->{status}, 202, 'canceled while queued');
is(cancel('cancel', $waiting[2])->{status}, 202, 'canceled while queued');
is($nginx->status($waiting[$_]), 'canceled', 'at once') for 1, 2;

$backend->release('one');

is($nginx->wait_end($waiting[$_])->{status}, 'succeeded', 'the others run')
    for 0, 3;
is($backend->seen("w$_"), 0, 'what was canceled does not') for 2, 3;

is(cancel('cancel', $waiting[0])->{status}, 409, 'too late');


# at any moment of the start: either it is closed, or it never began

for my $i (1 .. 60) {
    my $token = "race$i";
    my $id = $nginx->submit('POST', "/?token=$token&gate=never",
                            body => 'x' x ($i % 3 == 0 ? 400_000 : 10));

    is(cancel('DELETE', $id)->{status}, 202, 'canceled at its start')
        unless $i > 3;
    cancel('DELETE', $id) if $i > 3;
}

ok(wait_until(sub {
    my %open;

    for ($backend->lines) {
        $open{$_->[1]}++ if $_->[0] eq 'begin' && $_->[1] =~ /^race/;
        delete $open{$_->[1]} if $_->[0] eq 'closed' || $_->[0] eq 'end';
    }

    return !%open;
}, 15), 'no canceled call goes on');


# clients that leave: before the 202, with or without all of the request

sub leave
{
    my ($text, $wait, $reset) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die;

    syswrite $s, $text;
    $wait->() if $wait;

    setsockopt $s, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 if $reset;

    close $s;
}


for my $i (1 .. 60) {
    my $reset = $i % 2;
    my $body = 'x' x ($i % 5 == 0 ? 300_000 : 100);
    my $length = length $body;
    my $text = "POST /?token=gone$i HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: $length\r\n\r\n$body";

    # cut anywhere in every third

    $text = substr $text, 0, int rand length $text if $i % 3 == 0;

    leave($text, undef, $reset);
}

for my $i (1 .. 20) {
    leave("GET /held/?token=hold$i&gate=held HTTP/1.1\r\nHost: localhost\r\n"
          . ($i % 4 ? '' : "Idempotency-Key: k$i\r\n") . "\r\n",
          $i <= 2 ? sub { $backend->wait_for("hold$i") } : undef, $i % 2);
}

$backend->release('held');

# in the response

for my $i (1 .. 10) {
    leave("GET /held/?token=mid$i&size=3000000 HTTP/1.1\r\n"
          . "Host: localhost\r\n\r\n",
          sub { $backend->wait_for("mid$i") }, $i % 2);
}

my $id = $nginx->submit('GET', '/?token=last');
is($nginx->wait_end($id)->{status}, 'succeeded', 'others are not disturbed');

is(join(' ', $backend->repeated('POST')), '', 'no POST was sent twice');

# every slot is free again

my @jobs = map { $nginx->submit('GET', "/?token=free$_&gate=free") } 1 .. 2;
ok(wait_until(sub { !grep { !$backend->seen("free$_") } 1 .. 2 }),
   'all slots are free again');
$backend->release('free');
is($nginx->wait_end($_)->{status}, 'succeeded', 'it ends') for @jobs;

is(scalar($nginx->workers), 2, 'no worker was lost');
unlike($nginx->log, qr/exited on signal/, 'none has crashed');

$nginx->stop;


# The message to the worker that runs a job may be lost: here there are no
# sockets any more that messages could be sent to.

$nginx = NgxAsync->new(workers => 2,
    locations => "location / { async on; proxy_pass $backend->{url}; }");
$port = $nginx->{port};

@jobs = map { $nginx->submit('POST', "/?token=lost$_&gate=never") } 1 .. 12;

wait_until(sub { !grep { !$backend->seen("lost$_") } 1 .. 12 })
    or fail('calls are running');

unlink glob $nginx->store . '/n.*';

is(cancel('DELETE', $_)->{status}, 202, 'canceled') for @jobs;

ok(wait_until(sub { !grep { !$backend->seen("lost$_", 'closed') } 1 .. 12 },
              30), 'a cancel that its runner was not told of is found');

$nginx->stop;

done_testing;
