#!/usr/bin/perl

# Held clients that leave in the middle of a response, or take it slowly: the
# call goes on, or is aborted, and nobody else is disturbed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use Jobs;
use Test::More;

my $many = 20_000_000;              # more than buffers of sockets take
my $h2 = Driver::free_port();

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    return <<"END";
    async_queue one concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        listen 127.0.0.1:$h2 http2;

        location /held/ {
            async on queue=one;
            async_wait 20s;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /unbuffered/ {
            async on queue=one;
            async_wait 20s;
            proxy_buffering off;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /direct/ {
            async on queue=one;
            async_wait 20s;
            async_pass http://127.0.0.1:$t->{backend}/;
        }

        location /jobs/ { async_jobs; }
    }
END
});


sub key { return (headers => ["Idempotency-Key: $_[0]", @_[1 .. $#_]]) }


# the result of a job with this key

sub whole
{
    my ($uri, $key, $name) = @_;

    my $r = $t->ask(GET => $uri, key($key));

    is($r->{status}, 200, "$name: its result is there");
    ok($r->{body} eq 'x' x $many, "$name: and whole");
}


# waits until no more bytes come that nobody reads

sub stuck
{
    my ($s) = @_;

    my ($last, $same) = (0, 0);

    Driver::until_true(10, sub {
        my $n = pack 'L', 0;
        ioctl $s, 0x541b, $n;               # FIONREAD
        $n = unpack 'L', $n;

        $same = $n && $n == $last ? $same + 1 : 0;
        $last = $n;
        return $same > 5;
    }) or fail('a client that does not read gets no more');
}


for my $location ('held', 'unbuffered', 'direct') {
    for my $keyed (0, 1) {

        my $what = $location . ($keyed ? ', with a key' : '');
        my $key = "$location-middle";
        my $uri = "/$location/?n=$many&half=$location$keyed";

        # in the middle: the backend has given a half, and waits

        my $c = $t->begin(GET => $uri, $keyed ? key($key) : ());

        ok($c->expect(qr/x{1000}/), "$what: it gets the beginning");
        $c->leave;

        my $next = $t->begin(GET => '/held/?b=next');

        ok($next->held, "$what: the call goes on when its client has left");
        $t->release("$location$keyed");
        is($next->finish->{body}, 'next', "$what: to its end");

        ok(!-e "$t->{dir}/backend/left-$location$keyed",
           "$what: it was not aborted");

        whole($uri, $key, $what) if $keyed;

        # with all of it on its way, and stuck

        $key = "$location-stuck";
        $uri = "/$location/?n=$many&stuck=$keyed";
        $c = $t->begin(GET => $uri, $keyed ? key($key) : ());

        stuck($c->{socket});
        $next = $t->begin(GET => '/held/?b=next');
        ok($next->held, "$what: a slow client keeps its call");

        $c->leave;
        is($next->finish->{body}, 'next', "$what: which ends without it");

        whole($uri, $key, "$what, stuck") if $keyed;
    }

    # somebody else cancels the job of a slow client

    for my $how ('DELETE', 'cancel') {

        my $key = "$location-$how";
        my $uri = "/$location/?n=$many&how=$how";
        my $c = $t->begin(GET => $uri, key($key));

        stuck($c->{socket});

        my $job = $t->job(GET => $uri, key($key, 'Prefer: respond-async'));
        my $r = $how eq 'DELETE' ? $t->ask(DELETE => $job)
                                 : $t->ask(POST => "$job/cancel", body => '');

        is($r->{status}, 202, "$location, $how: canceled");
        is($t->until($job, 'canceled')->{status}, 'canceled', 'for everybody');
        is($t->ask(GET => '/held/?b=next')->{body}, 'next', 'its slot is free');

        $r = $c->finish;
        ok($r->{eof} && length $r->{body} < $many,
           'the client does not take a part for the whole');
    }
}


# HTTP/2: frames that are sent in part when their stream is reset

sub frame
{
    my ($type, $flags, $id, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload;
}


sub request
{
    my ($id, $uri, @fields) = @_;

    unshift @fields, ':method', 'GET', ':scheme', 'http', ':path', $uri,
        ':authority', 'localhost';

    my $block = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . join '', map { pack 'C/a*', $_ } $name, $value;
    }

    return frame(1, 5, $id, $block);
}


for my $location ('held', 'unbuffered', 'direct') {

    my $uri = "/$location/?n=$many&h2=1";
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h2)
        or die;

    # windows as wide as they can be

    print $s "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        frame(4, 0, 0, pack 'nN', 4, 2 ** 31 - 1),
        frame(8, 0, 0, pack 'N', 2 ** 31 - 1 - 65535),
        request(1, $uri, 'idempotency-key', "h2-$location");
    $s->flush;

    stuck($s);
    print $s frame(3, 0, 1, pack 'N', 8), request(3, '/held/?b=after');
    $s->flush;

    my ($in, %data, $closed) = ('');

    Driver::until_true(20, sub {

        while (length $in >= 9) {
            my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $in;
            my $n = ($high << 16) + $low;

            last if length $in < 9 + $n;

            $data{$id} .= substr $in, 9, $n if $type == 0;
            $closed = 1 if $type == 0 && $id == 3 && $flags & 1;
            substr $in, 0, 9 + $n, '';
        }

        return $closed || !sysread $s, $in, 1 << 18, length $in;
    });

    is($data{3}, 'after', "HTTP/2, $location: the next stream is answered");
    ok(length $data{1} < $many && $data{1} !~ /[^x]/,
       'what was sent of the first is a part of it');

    close $s;
    whole($uri, "h2-$location", 'HTTP/2');
}

$t->stop;

done_testing;
