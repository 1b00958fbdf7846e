#!/usr/bin/perl

# DELETE, POST J/cancel, POST J/retry: for programs and for browsers.

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

    server {
        listen 127.0.0.1:$t->{port};
        location /a/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /keptone/ { async on queue=one; async_keep_request 1h; $pass }
        location /kept/ { async on; async_keep_request 1h; $pass }
        location /brief/ { async on; async_keep_request 500ms; $pass }
        location /jobs/ { async_jobs; }
    }
END
});

my @nav = (headers => ['Sec-Fetch-Mode: navigate',
                       'Sec-Fetch-Site: same-origin']);
my @cross = (headers => ['Sec-Fetch-Site: cross-site']);
my $n = 0;


sub running
{
    my $name = 'r' . ++$n;
    my $job = $t->job(POST => "/a/?hold=$name&b=$name", body => '');
    $t->until($job, 'running');
    Driver::until_true(5, sub { $t->requests("POST /?hold=$name") });
    return ($job, $name);
}


sub problem
{
    my ($r, $status, $type, $name) = @_;

    is($r->{status}, $status, "$name: $status");
    is($r->header('content-type'), 'application/problem+json',
       "$name: a problem");
    is($r->json->{type}, "urn:ngx-async:problem:$type", "$name: $type");
    is($r->header('cache-control'), 'no-store', "$name: Cache-Control");
    is($r->header('referrer-policy'), 'no-referrer', "$name: Referrer-Policy");
}


# pending

for my $case (
    [DELETE => ''], [DELETE => '/result'], [POST => '/cancel'],
) {
    my ($method, $suffix) = @$case;
    my ($job, $name) = running();
    my $r = $t->ask($method => "$job$suffix");

    is($r->{status}, 202, "$method J$suffix of a running job: 202");
    is($r->header('location'), $job, "$method J$suffix: Location");
    is($r->json->{status}, 'canceled', "$method J$suffix: the new status");
    ok($t->left($name), "$method J$suffix: the call is aborted");

    my $d = $t->ask(GET => $job)->json;
    is($d->{status}, 'canceled', "$method J$suffix: canceled");
    ok($d->{finished_at} && $d->{expires_at}, "$method J$suffix: with times");
    ok(!exists $d->{$_}, "$method J$suffix: no $_")
        for qw(response resourceLocation progress error);

    $r = $t->ask(GET => "$job/result");
    problem($r, 404, 'canceled', "$method J$suffix: J/result");
    is($r->header('async-status'), 'canceled',
       "$method J$suffix: Async-Status");
    is($r->header('asyncresult'), undef, "$method J$suffix: no AsyncResult");

    problem($t->ask(POST => "$job/cancel"), 409, 'finished',
            "$method J$suffix: once more");
    problem($t->ask(POST => "$job/retry"), 409, 'not-retryable',
            "$method J$suffix: no retry");

    is($t->ask(DELETE => $job)->{status}, 204, 'it can be forgotten');
    is($t->ask(GET => $job)->{status}, 404, 'and is');
}

{
    my $first = $t->job(GET => '/one/?hold=one');
    $t->until($first, 'running');
    my $second = $t->job(POST => '/one/?b=second', body => '');
    my $third = $t->job(POST => '/one/?b=third', body => '');

    is($t->ask(DELETE => $second)->json->{status}, 'canceled',
       'a queued job: canceled');
    is($t->ask(GET => $third)->json->{position}, 1, 'the next one moves up');

    $t->release('one');
    $t->ended($third);
    is($t->requests('POST /?b=second'), 0, 'it was never sent');
}

# finished

for my $suffix ('', '/result') {
    my $job = $t->done(GET => '/a/?b=x');
    my $r = $t->ask(DELETE => "$job$suffix");

    is($r->{status}, 204, "DELETE J$suffix of a finished job: 204");
    is($r->{body}, '', "DELETE J$suffix: no body");
    is($r->header('content-length'), undef, "DELETE J$suffix: no length");
    is($t->ask(GET => $job)->{status}, 404, "DELETE J$suffix: forgotten");
    is($t->ask(DELETE => $job)->{status}, 404, "DELETE J$suffix: once");
}

{
    my $job = $t->done(GET => '/a/?b=kept');

    problem($t->ask(POST => "$job/cancel"), 409, 'finished',
            'J/cancel of a finished job');
    is($t->ask(GET => "$job/result")->{body}, 'kept', 'nothing is forgotten');
    problem($t->ask(POST => "$job/retry"), 409, 'not-retryable',
            'J/retry of what succeeded');

    my $failed = $t->done(GET => '/a/?s=500');
    problem($t->ask(POST => "$failed/retry"), 409, 'not-retryable',
            'J/retry of what is not kept');
}

# once more

{
    my $job = $t->done(POST => '/kept/?fail=1&b=fine', body => 'body');
    my $d = $t->ask(GET => $job)->json;

    is($d->{status}, 'failed', 'a job fails');
    is($t->ask(GET => "$job/result")->{status}, 503, 'its response');

    my $r = $t->ask(POST => "$job/retry");
    is($r->{status}, 202, 'J/retry: 202');
    is($r->header('location'), $job, 'the same job');
    is($r->json->{id}, $d->{id}, 'the same id');

    $d = $t->ended($job);
    is($d->{status}, 'succeeded', 'it runs again');
    is($d->{attempt}, 2, 'as the next attempt');
    is($t->ask(GET => "$job/result")->{body}, 'fine', 'with a new response');
    is($t->requests('POST /?fail=1&b=fine'), 2, 'it was sent twice');

    problem($t->ask(POST => "$job/retry"), 409, 'not-retryable',
            'then no more');
}

{
    my $job = $t->done(POST => '/keptone/?s=500', body => 'x');
    my $before = $t->job(GET => '/one/?hold=before');
    $t->until($before, 'running');

    my $d = $t->ask(POST => "$job/retry")->json;
    is($d->{status}, 'notStarted', 'J/retry, while its queue is full: queued');
    is($d->{attempt}, 2, 'for its next attempt');
    ok(!exists $d->{$_}, "no $_ of the last one")
        for qw(started_at finished_at expires_at error response);
    ok(exists $d->{queue_paused} && !$d->{queue_paused}, 'queue_paused');

    $d = $t->ask(GET => $job)->json;
    is($d->{attempt}, 2, 'GET J says the same');
    is($d->{position}, 1, 'with its position');
    ok(!exists $d->{started_at}, 'and no started_at');

    $t->release('before');
    is($t->ended($job)->{attempt}, 2, 'it is that attempt');
}

{
    my $job = $t->done(POST => '/kept/?s=500', body => 'the body');
    $t->ask(POST => "$job/retry");
    $t->ended($job);
    like($t->ask(GET => "$job/result")->{body}, qr/\r\n\r\nthe body$/,
         'the request is the same, with its body');
}

{
    my $job = $t->done(POST => '/brief/?s=500', body => 'x');

    ok($t->ask(GET => $job)->json->{links}{retry}, 'it is kept');
    ok(Driver::until_true(10, sub {
        !$t->ask(GET => $job)->json->{links}{retry}
    }), 'for its time');
    problem($t->ask(POST => "$job/retry"), 409, 'not-retryable',
            'not longer');
    is($t->ask(GET => "$job/result")->{status}, 500, 'its result stays');
}

# browsers

{
    my ($job) = running();
    my $r = $t->ask(POST => "$job/cancel", @nav, body => '');

    is($r->{status}, 303, 'a form: 303');
    is($r->header('location'), $job, 'back to J');
    is($t->ask(GET => $job)->json->{status}, 'canceled', 'canceled');

    $r = $t->ask(POST => "$job/cancel", @nav, body => '');
    is($r->{status}, 303, 'a form, when it has finished: 303');
    is($r->header('location'), $job, 'to J');

    my $failed = $t->done(GET => '/kept/?s=500');
    $r = $t->ask(POST => "$failed/retry", @nav, body => '');
    is($r->{status}, 303, 'retry by a form: 303');
    $t->ended($failed);
}

# other sites

{
    my ($job, $name) = running();

    problem($t->ask(DELETE => $job, @cross), 403, 'cross-site',
            'a cross-site DELETE J');
    problem($t->ask(DELETE => "$job/result", @cross), 403, 'cross-site',
            'a cross-site DELETE J/result');
    problem($t->ask(POST => "$job/cancel", @cross, body => ''), 403,
            'cross-site', 'a cross-site cancel');
    problem($t->ask(POST => "$job/retry", @cross, body => ''), 403,
            'cross-site', 'a cross-site retry');

    is($t->ask(GET => $job, @cross)->{status}, 200, 'a cross-site GET is fine');
    is($t->ask(GET => $job)->json->{status}, 'running', 'nothing happened');

    for my $site ('same-origin', 'same-site', 'none') {
        my ($other) = running();
        is($t->ask(DELETE => $other, headers => ["Sec-Fetch-Site: $site"])
           ->{status}, 202, "$site is fine");
    }

    $t->release($name);
}

$t->stop;

done_testing;
