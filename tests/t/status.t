#!/usr/bin/perl

# GET J over time: a queue that is paused, how long a job is kept, progress and
# estimates.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;
    async_queue down concurrency=1 pause_on=error pause=60s;

    server {
        listen 127.0.0.1:$t->{port};

        location /a/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /down/ {
            async on queue=down;
            proxy_pass http://127.0.0.1:1/;
        }
        location /ttl/ { async on; async_ttl 1h failed=2h; $pass }
        location /estimate/ { async on; $pass }

        location /jobs/ { async_jobs; }
    }
END
});

my $time = qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
my $d;


# a backend that is down

{
    my $dead = $t->job(GET => '/down/');
    my $paused;

    Driver::until_true(5, sub {
        $paused = $t->ask(GET => $dead)->json;
        return $paused->{queue_paused};
    });

    is($paused->{status}, 'notStarted', 'a backend that is down: back again');
    ok($paused->{queue_paused}, 'queue_paused true');
    is($paused->{position}, 1, 'with a position');
    ok(!exists $paused->{estimated_finish_at}, 'and no estimate');
    is($t->ask(DELETE => $dead)->{status}, 202, 'it can be canceled');
}

# async_ttl

sub seconds
{
    my ($from, $to) = @_;

    s/.*T(\d\d):(\d\d):(\d\d)\..*/$1 * 3600 + $2 * 60 + $3/e for $from, $to;
    return ($to - $from) % 86400;
}

{
    my $failed = $t->done(GET => '/ttl/?s=500');
    $d = $t->ask(GET => $failed)->json;
    is(seconds($d->{finished_at}, $d->{expires_at}), 7200,
       'the ttl of what failed');
}

{
    my $ok = $t->done(GET => '/ttl/?b=x');
    $d = $t->ask(GET => $ok)->json;
    is(seconds($d->{finished_at}, $d->{expires_at}), 3600,
       'the ttl of what succeeded');
}

# while bytes arrive

{
    my $first = $t->job(GET => '/one/?half=half&n=200000');
    my $second = $t->job(GET => '/one/?b=x');
    $t->until($first, 'running');

    ok(Driver::until_true(5, sub {
        $d = $t->ask(GET => $first)->json;
        return $d->{progress}{bytes_received} > 50000;
    }), 'progress: bytes_received');
    cmp_ok($d->{progress}{bytes_received}, '<=', 100000,
           'progress: what has come');
    is($d->{progress}{bytes_total}, 200000, 'progress: bytes_total');

    my $r = $t->ask(GET => "$first/result");
    is($r->{status}, 202, 'half a response is no result');
    like($r->header('x-progress'), qr/^running, \d+ of 200000 bytes received$/,
       'X-Progress');

    $t->release('half');
    is($t->ended($second)->{status}, 'succeeded', 'both run');
}

# estimates

{
    $t->done(GET => '/estimate/?b=x');

    my $next = $t->job(GET => '/estimate/?hold=estimate');
    $d = $t->until($next, 'running');
    like($d->{estimated_finish_at}, $time,
         'estimated_finish_at, once there was a job before');

    my $r = $t->ask(GET => $next)->header('retry-after');
    ok($r >= 1 && $r <= 60, 'Retry-After of 1 to 60 seconds');
    $t->release('estimate');
}

$t->stop;

done_testing;
