#!/usr/bin/perl

# Waiting: J/wait and its chain, ?wait=N and Prefer: wait=N on J and J/result.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

for my $workers (1, 2) {

my $t = Jobs->new(workers => $workers, http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    server {
        listen 127.0.0.1:$t->{port} reuseport;
        async_wait_max 10s;
        async_jobs_uri /jobs/;

        location /a/ { async on; $pass }
        location /jobs/ { async_jobs; }
        location /short/ { async_jobs; async_wait_max 200ms; }
    }
END
});

my $n = 0;

my $pending = sub {
    my $name = "w$workers" . ++$n;
    my $job = $t->job(POST => "/a/?hold=$name&b=$name&s=201", body => '');
    $t->until($job, 'running');
    return ($job, $name);
};


# woken by the end

for my $case (
    ['J/wait', GET => '/wait'],
    ['POST J/wait', POST => '/wait', body => 'again'],
    ['PUT J/wait', PUT => '/wait', body => 'again'],
    ['DELETE J/wait', DELETE => '/wait'],
    ['J/wait?n=3', GET => '/wait?n=3'],
    ['J/result?wait=9', GET => '/result?wait=9'],
    ['J/result, Prefer: wait=9', GET => '/result', headers => ['Prefer: wait=9']],
) {
    my ($name, $method, $suffix, @args) = @$case;
    my ($job, $release) = $pending->();

    my @clients = map { $t->begin($method => "$job$suffix", @args) } 1 .. 4;

    ok($_->held, "$workers workers, $name: held") for @clients;
    $t->release($release);

    for (@clients) {
        my $r = $_->finish;
        is($r->{status}, 201, "$name: the result");
        is($r->{body}, $release, "$name: its body");
        is($r->header('asyncresult'), 201, "$name: AsyncResult");
        is($r->header('async-status'), 'succeeded', "$name: Async-Status");
        cmp_ok($r->{time}, '<', 5, "$name: at once");
    }

    is($t->ask($method => "$job$suffix", @args)->{status}, 201,
       "$name: a finished job");
    is($t->ask(GET => $job)->json->{status}, 'succeeded',
       "$name: only waits");
}

{
    my ($job, $release) = $pending->();
    my $c = $t->begin(GET => "$job?wait=9");

    ok($c->held, 'J?wait=9: held');
    $t->release($release);
    my $r = $c->finish;
    is($r->{status}, 200, 'J?wait=9: 200');
    is($r->json->{status}, 'succeeded', 'J?wait=9: the new status');
    is($r->header('retry-after'), undef, 'J?wait=9: no Retry-After');
}

# canceled while they wait

{
    my ($job, $release) = $pending->();
    my @clients = map { $t->begin(GET => "$job$_") }
                  '/wait', '/result?wait=9', '?wait=9';

    ok($_->held, 'held') for @clients;
    $t->ask(DELETE => $job);

    is($clients[0]->finish->{status}, 404, 'canceled: J/wait');
    is($clients[1]->finish->{status}, 404, 'canceled: J/result');
    is($clients[2]->finish->json->{status}, 'canceled', 'canceled: J');
}

# not in time

{
    my ($job, $release) = $pending->();
    (my $short = $job) =~ s{/jobs/}{/short/};

    my $r = $t->ask(GET => "$short/wait");
    is($r->{status}, 303, 'J/wait: 303 at the end of a hop');
    is($r->header('location'), "$job/wait?n=1", 'the first is n=1');
    cmp_ok($r->{time}, '>', 0.15, 'after async_wait_max');
    cmp_ok($r->{time}, '<', 5, 'of the waiting location');
    is($r->header('cache-control'), 'no-store', 'not to be stored');
    is($r->header('referrer-policy'), 'no-referrer', 'Referrer-Policy');

    is($t->ask(GET => "$short/wait?n=7")->header('location'),
       "$job/wait?n=8", 'n counts');
    is($t->ask(POST => "$short/wait?n=x", body => 'x')->header('location'),
       "$job/wait?n=1", 'n that is no number');
    is($t->ask(GET => "$short/wait?a=b&n=2")->header('location'),
       "$job/wait?n=3", 'n among others');

    $r = $t->ask(GET => "$job/result?wait=1");
    is($r->{status}, 202, 'J/result?wait=1: 202, never 303');
    cmp_ok($r->{time}, '>', 0.9, 'after a second');
    is($r->header('location'), "$job/result", 'with Location');

    $r = $t->ask(GET => $job, headers => ['Prefer: wait=1']);
    is($r->{status}, 200, 'J, Prefer: wait=1: 200');
    cmp_ok($r->{time}, '>', 0.9, 'after a second');
    is($r->json->{status}, 'running', 'running still');

    $r = $t->ask(GET => "$short?wait=9");
    cmp_ok($r->{time}, '<', 5, 'bounded by async_wait_max');

    for my $uri ("$job?wait=x", "$job?wait=", "$job?wait=-1", "$job?wait=0",
                 "$job?waits=9", "$job/result?wait=x")
    {
        cmp_ok($t->ask(GET => $uri)->{time}, '<', 2, "$uri: not held");
    }

    cmp_ok($t->ask(GET => "$job?wait=0", headers => ['Prefer: wait=9'])
           ->{time}, '<', 2, '?wait= comes before Prefer');

    # navigations

    my @nav = (headers => ['Sec-Fetch-Mode: navigate']);

    $r = $t->ask(GET => "$job/result", @nav);
    is($r->{status}, 303, 'a navigation to a pending J/result: 303');
    is($r->header('location'), $job, 'to J');
    $r = $t->ask(GET => "$short/wait", @nav);
    is($r->header('location'), $job, 'to J/wait, too');
    like($t->ask(GET => $job, @nav)->header('content-type'), qr{^text/html},
         'which is a page');

    # a page of another site cannot do harm

    is($t->ask(DELETE => "$short/wait",
               headers => ['Sec-Fetch-Site: cross-site'])->{status}, 303,
       'a cross-site DELETE J/wait only waits');

    $t->release($release);
    is($t->ended($job)->{status}, 'succeeded', 'all of that disturbed nobody');
}

# clients that leave

{
    my ($job, $release) = $pending->();
    my @clients = map { $t->begin(GET => "$job/wait") } 1 .. 10;

    ok($clients[0]->held, 'held');
    $_->leave for @clients;
    $t->release($release);
    is($t->ended($job)->{status}, 'succeeded', 'clients that leave');
}

$t->stop;

}

done_testing;
