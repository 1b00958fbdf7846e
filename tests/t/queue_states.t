#!/usr/bin/perl

# What can be done to a job in each of its states, how long it is kept, what
# its events tell of its attempts, and when clients may come back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;
use Time::HiRes qw(time);

my $t = Jobs->new(workers => 2, http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;
    async_queue brief concurrency=1 timeout=200ms;
    async_queue tiny concurrency=1 backlog=1;
    async_queue small concurrency=1 backlog=1;
    async_queue share concurrency=1 per=\$arg_p per_backlog=1;
    async_queue shut backlog=2 per=\$arg_p per_backlog=1 pause_on=error
                pause=40s;
    async_queue closed backlog=1 pause_on=error pause=1h;

    async_keep_request 1h;

    server {
        listen 127.0.0.1:$t->{port};

        location /one/ { async on queue=one; $pass }
        location /brief/ { async on queue=brief; $pass }
        location /tiny/ { async on queue=tiny; $pass }
        location /small/ { async on queue=small; $pass }
        location /share/ { async on queue=share; $pass }
        location /pass/ { async on queue=share; async_full pass; $pass }

        location /shut/ {
            async on queue=shut;
            proxy_pass http://127.0.0.1:1;
        }
        location /closed/ {
            async on queue=closed;
            proxy_pass http://127.0.0.1:1;
        }

        location /again/ {
            async on;
            async_retry http_503 tries=3 backoff=1ms;
            $pass
        }

        location /short/ {
            async on;
            async_keep_request 0;
            async_ttl 300ms failed=1h;
            $pass
        }
        location /long/ {
            async on;
            async_keep_request 0;
            async_ttl 1h failed=300ms;
            $pass
        }

        location /jobs/ { async_jobs; }
    }
END
});


# a slot that is taken

sub hold
{
    my ($uri) = @_;

    my $job = $t->job(GET => $uri);
    $t->until($job, 'running');
    return $job;
}

sub status { return $t->ask(@_)->{status} }


my $start = time;
my $slow = hold('/small/?hold=slow');


# between attempts

my @later = map {
    $t->job(GET => "/again/?fail=1&b=later$_&h=Retry-After:5")
} 1 .. 2;

ok(Driver::until_true(10, sub {
    2 == grep {
        my $d = $t->ask(GET => $_)->json;
        $d->{status} eq 'notStarted' && $d->{attempt} == 2;
    } @later;
}), 'jobs wait for their next attempt');

is(status(POST => "$later[0]/retry"), 409, 'J/retry of such a job');
is(status(POST => "$later[0]/cancel"), 202, 'J/cancel');
is($t->ask(GET => $later[0])->json->{status}, 'canceled', 'at once');
is(status(GET => "$later[0]/result"), 404, 'without a result');
is(status(DELETE => $later[0]), 204, 'it can be forgotten');


# POST J/retry

{
    my $first = hold('/one/?hold=first');
    my $job = $t->job(POST => '/one/?b=waits', body => 'x');

    is(status(POST => "$job/retry"), 409, 'J/retry of a job that waits');
    is(status(DELETE => $job), 202, 'which is canceled then');
    is(status(POST => "$job/retry"), 409, 'J/retry of a job that was canceled');

    my $late = $t->job(POST => '/brief/?hold=late', body => 'x');
    $t->until($late, 'running');
    my $out = $t->job(POST => '/brief/?b=timed', body => 'x');

    is($t->ended($out)->{error}{code}, 'queue_timeout', 'a job times out');
    $t->release('late');
    $t->ended($late);
    is(status(POST => "$out/retry"), 202, 'J/retry of one that timed out');
    my $d = $t->ended($out);
    is($d->{status}, 'succeeded', 'it runs');
    is($d->{attempt}, 1, 'for the first time');
    is($t->requests('POST /?b=timed'), 1, 'once');

    $t->release('first');
    $t->ended($first);
    is($t->requests('POST /?b=waits'), 0, 'what was canceled does not');
}

{
    my $failed = $t->done(POST => '/one/?fail=9&b=twice', body => 'x');
    my $first = hold('/one/?hold=second');

    is(status(POST => "$failed/retry"), 202, 'J/retry of a failed job');
    is(status(POST => "$failed/retry"), 409, 'not while it waits again');
    is(status(DELETE => $failed), 202, 'it is canceled');
    is(status(POST => "$failed/retry"), 409, 'then it cannot');

    $t->release('second');
    $t->ended($first);
    is($t->requests('POST /?fail=9&b=twice'), 1, 'it has not run again');
}


# events of attempts

{
    my $job = $t->job(GET => '/again/?fail=2&b=events&h=Retry-After:1');
    my $r = $t->begin(GET => "$job/events")->finish;
    my @seen = $r->{body} =~ /"status":"(\w+)".*?"attempt":(\d+)/g;
    my @all;

    while (my ($status, $attempt) = splice @seen, 0, 2) {
        push @all, "$status $attempt";
    }

    # an attempt may be over before anything is told of it

    like("@all", qr/(^|running 2 )notStarted 3 (running 3 )?succeeded 3$/,
         'events tell each attempt');
}


# async_ttl

sub gone { return status(GET => $_[0]) == 404 }

{
    my @long = map { $t->done(GET => $_) } qw(/long/?b=x /short/?s=500);
    my @short = map { $t->done(GET => $_) } qw(/short/?b=x /long/?s=500);

    for my $uri ('/short/?hold=gone', '/long/?hold=gone') {
        my $job = hold($uri);
        is(status(DELETE => $job), 202, 'a job is canceled');
        push @{ $uri =~ /long/ ? \@short : \@long }, $job;
    }

    ok(Driver::until_true(10, sub { gone($_) }),
       'a job is gone when its time is over') for @short;
    ok(!gone($_), 'and stays until then') for @long;
}


# Retry-After: about as long as a job takes

{
    my $job = hold('/tiny/?hold=tiny');
    my $next = $t->job(GET => '/tiny/?b=x');

    my $r = $t->ask(GET => '/tiny/?b=y');
    is($r->{status}, 503, 'a full queue');
    is($r->header('retry-after'), 2, 'two seconds while nothing is known');

    $t->release('tiny');
    $t->ended($_) for $job, $next;
    $t->done(GET => '/tiny/?b=x') for 1 .. 3;

    $job = hold('/tiny/?hold=tiny2');
    $next = $t->job(GET => '/tiny/?b=x');
    is($t->ask(GET => '/tiny/?b=y')->header('retry-after'), 1,
       'one for quick jobs');
    $t->release('tiny2');
    $t->ended($_) for $job, $next;
}


# a full share

{
    my $first = hold('/share/?hold=share&p=a');
    my $next = $t->job(GET => '/share/?p=a');

    is(status(GET => '/share/?p=a'), 429, 'a full share');

    my $r = $t->ask(GET => '/pass/?p=a&b=passed');
    is($r->{status}, 200, 'async_full pass');
    is($r->{body}, 'passed', 'with the response');
    is($r->header('async-bypass'), 'per_full', 'and the reason');

    $t->release('share');
    $t->ended($_) for $first, $next;
}


# of the job that was there from the start

Driver::until_true(10, sub { time > $start + 3.2 });
$t->release('slow');
$t->ended($slow);

{
    my $job = hold('/small/?hold=small');
    my $next = $t->job(GET => '/small/?b=x');
    my $r = $t->ask(GET => '/small/?b=y')->header('retry-after');

    cmp_ok($r, '>=', 3, 'Retry-After for slow jobs');
    cmp_ok($r, '<=', 60, 'is bounded');

    $t->release('small');
    $t->ended($_) for $job, $next;
}


# a queue that is paused: not before it goes on, as far as 60 seconds tell

{
    my @shut = $t->job(GET => '/shut/?p=a');

    ok(Driver::until_true(10, sub {
        $t->ask(GET => $shut[0])->json->{queue_paused};
    }), 'a queue is paused');

    my $left = sub {
        my ($what, $status, @ask) = @_;
        my $r = $t->ask(@ask);

        is($r->{status}, $status, $what);
        cmp_ok($r->header('retry-after'), '>=', 30, 'Retry-After: not yet');
        cmp_ok($r->header('retry-after'), '<=', 42, 'but soon after');
    };

    $left->('a job that waits', 200, GET => $shut[0]);
    $left->('its result', 202, GET => "$shut[0]/result");
    $left->('a full share', 429, GET => '/shut/?p=a');
    $left->('another job', 202, GET => '/shut/?p=b');
    $left->('a full queue', 503, GET => '/shut/?p=c');

    my $closed = $t->job(GET => '/closed/');

    Driver::until_true(10, sub {
        $t->ask(GET => $closed)->json->{queue_paused};
    });

    is($t->ask(GET => $closed)->header('retry-after'), 60, 'a long pause');
    is($t->ask(GET => '/closed/')->header('retry-after'), 60, 'the same');
}


# what was canceled between its attempts is not sent when its time comes

is($t->ended($later[1])->{status}, 'succeeded', 'another one is');
is($t->requests('GET /?fail=1&b=later1'), 1, 'that one is not');

$t->stop;

done_testing;
