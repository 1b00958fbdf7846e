#!/usr/bin/perl

# async_metrics: that it counts, over the lives of jobs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(workers => 2, http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue tiny concurrency=1 backlog=1;
    async_queue brief;
    async_queue late concurrency=1 timeout=200ms;
    async_queue again;
    async_queue down pause_on=error pause=1h;
    async_queue later;
    async_queue share per=\$arg_p per_concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        location /a/ { async on; $pass }
        location /held/ { async on; async_wait 10s; $pass }
        location /tiny/ { async on queue=tiny; $pass }
        location /pass/ { async on queue=tiny; async_full pass; $pass }
        location /brief/ { async on queue=brief; async_ttl 100ms; $pass }
        location /late/ { async on queue=late; $pass }
        location /again/ {
            async on queue=again; async_keep_request 1h; $pass
        }
        location /down/ {
            async on queue=down; proxy_pass http://127.0.0.1:1;
        }
        location /later/ {
            async on queue=later; async_retry http_503; $pass
        }
        location /share/ { async on queue=share; $pass }
        location /retry/ { async on; async_retry http_503 backoff=1ms; $pass }
        location /jobs/ { async_jobs; }
        location = /metrics { async_metrics; allow 127.0.0.1; deny all; }
    }
END
});


sub metrics
{
    my $r = $t->ask(GET => '/metrics');
    my %m;

    for (split /\n/, $r->{body}) {
        $m{$1} = $2 if /^(ngx_async_\w+(?:\{[^}]*\})?) (\d+)$/;
    }

    return \%m;
}


my $m;

# what it counts

$t->done(GET => '/a/?b=x') for 1 .. 3;
$t->done(GET => '/a/?s=500');
$t->done(GET => '/retry/?fail=2');
$t->ask(GET => '/held/?b=x');

my $first = $t->job(GET => '/tiny/?hold=m');
$t->until($first, 'running');
my $second = $t->job(GET => '/tiny/?b=x');
is($t->ask(GET => '/tiny/?b=y')->{status}, 503, 'refused');
is($t->ask(GET => '/pass/?b=y')->{status}, 200, 'passed');

$m = metrics();

my $q = sub { "ngx_async_$_[0]\{queue=\"$_[1]\"}" };

is($m->{$q->(@{$_}[0, 1])}, $_->[2], "$_->[0] of $_->[1]") for
    ['jobs_accepted_total', 'default', 5],
    ['jobs_succeeded_total', 'default', 4],
    ['jobs_failed_total', 'default', 1],
    ['attempts_repeated_total', 'default', 2],
    ['submissions_held_total', 'default', 1],
    ['jobs_accepted_total', 'tiny', 2],
    ['submissions_rejected_total', 'tiny', 1],
    ['submissions_bypassed_total', 'tiny', 1],
    ['jobs_running', 'tiny', 1],
    ['jobs_waiting', 'tiny', 1],
    ['queue_concurrency', 'tiny', 1],
    ['queue_concurrency', 'default', 64],
    ['jobs_running', 'default', 0];

$t->ask(DELETE => $second);
$t->release('m');
$t->ended($first);

ok(Driver::until_true(5, sub {
    $m = metrics();
    return $m->{$q->('jobs_canceled_total', 'tiny')} == 1
           && $m->{$q->('jobs_running', 'tiny')} == 0
           && $m->{$q->('jobs_waiting', 'tiny')} == 0;
}), 'and back to nothing');

# what waits, though it could not be started now

$t->job(GET => '/down/') for 1 .. 3;
my $later = $t->job(GET => '/later/?s=503&h=Retry-After:3600');
$first = $t->job(GET => '/share/?p=a&hold=s');
$t->job(GET => '/share/?p=a') for 1 .. 2;

ok(Driver::until_true(10, sub {
    $m = metrics();
    return $m->{$q->('queue_paused', 'down')} == 1
           && $m->{$q->('jobs_waiting', 'down')} == 3;
}), 'jobs of a queue that is paused wait');

ok(Driver::until_true(10, sub {
    return $t->ask(GET => $later)->json->{attempt} == 2
           && metrics()->{$q->('jobs_waiting', 'later')} == 1;
}), 'one that waits for its next attempt does, too');

ok(Driver::until_true(10, sub {
    metrics()->{$q->('jobs_waiting', 'share')} == 2;
}), 'and those whose value has a job that runs');

$t->release('s');
$t->ended($first);

ok(Driver::until_true(10, sub {
    metrics()->{$q->('jobs_waiting', 'share')} == 0;
}), 'until they start');

# what the store ends by itself, and what is run again

$t->ask(GET => '/brief/?b=x') for 1 .. 3;

$first = $t->job(GET => '/late/?hold=l');
$t->job(GET => '/late/?b=x');

my $again = $t->done(GET => '/again/?fail=1');
is($t->ask(POST => "$again/retry", body => '')->{status}, 202, 'once more');

ok(Driver::until_true(10, sub {
    $m = metrics();
    return $m->{$q->('jobs_expired_total', 'brief')} == 3
           && $m->{$q->('jobs_failed_total', 'late')} == 1
           && $m->{$q->('jobs_succeeded_total', 'again')} == 1;
}), 'expired, failed in the queue, run again');

is($m->{$q->(@{$_}[0, 1])}, $_->[2], "$_->[0] of $_->[1]") for
    ['jobs_expired_total', 'again', 0],
    ['jobs_accepted_total', 'late', 2],
    ['jobs_accepted_total', 'again', 1],
    ['jobs_failed_total', 'again', 1],
    ['attempts_repeated_total', 'again', 1];

$t->release('l');
$t->ended($first);

cmp_ok($m->{ngx_async_store_used_bytes}, '>', 0, 'store_used_bytes');

$t->stop;

done_testing;
