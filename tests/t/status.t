#!/usr/bin/perl

# GET J: the status document in each state; and what else is answered under
# the jobs location.

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
    async_queue hurry concurrency=1 timeout=200ms;
    async_queue down concurrency=1 pause_on=error pause=60s;

    server {
        listen 127.0.0.1:$t->{port};

        location /a/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /hurry/ { async on queue=hurry; $pass }
        location /down/ {
            async on queue=down;
            async_ttl 1h failed=2h;
            proxy_pass http://127.0.0.1:1/;
        }
        location /ttl/ { async on; async_ttl 1h failed=2h; $pass }
        location /timeout/ { async on; async_timeout 100ms; $pass }
        location /small/ { async on; async_max_response_size 10; $pass }
        location /dead/ { async on; proxy_pass http://127.0.0.1:1/; }
        location /page/ {
            async on;
            error_page 502 =503 /sorry;
            proxy_pass http://127.0.0.1:1/;
        }
        location = /error { return 200 replaced; }
        location = /sorry { return 503 sorry; }
        location /kept/ { async on; async_keep_request 1h; $pass }
        location /estimate/ { async on; $pass }

        location /jobs/ {
            async_jobs;
            error_page 404 405 /error;
            add_header Cache-Control no-store;
            add_header X-Content-Type-Options nosniff;
            expires 1h;
        }
        location /200/ { async_jobs; async_result_status 200; }
        async_jobs_uri /jobs/;
    }
END
});

my $time = qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;


sub secure
{
    my ($r, $name) = @_;

    is($r->header('cache-control'), 'no-store', "$name: Cache-Control");
    is($r->header('referrer-policy'), 'no-referrer', "$name: Referrer-Policy");
    is($r->header('x-content-type-options'), 'nosniff',
       "$name: X-Content-Type-Options");
    is($r->header('expires'), undef, "$name: no Expires");
}


# running

my $job = $t->job(POST => '/a/x?hold=run&n=20', body => 'abc');
my $d = $t->until($job, 'running');
my ($id) = $job =~ /([^\/]*)$/;

{
    my $r = $t->ask(GET => $job);

    is($r->{status}, 200, 'pending: 200');
    is($r->header('content-type'), 'application/json', 'JSON');
    like($r->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
    secure($r, 'pending');

    is($d->{id}, $id, 'id');
    is($d->{status}, 'running', 'status');
    like($d->{created_at}, $time, 'created_at');
    like($d->{started_at}, $time, 'started_at');
    is($d->{queue}, 'default', 'queue');
    is($d->{attempt}, 1, 'attempt');
    is_deeply($d->{request}, { method => 'POST', uri => '/a/x?hold=run&n=20' },
              'request');
    is($d->{progress}{bytes_received}, 0, 'progress');
    is($d->{links}{$_ eq 'self' ? 'self' : $_},
       $job . ($_ eq 'self' ? '' : "/$_"), "links.$_")
        for qw(self result wait events cancel);
    ok(!exists $d->{$_}, "no $_")
        for qw(finished_at expires_at position queue_paused response
               resourceLocation error callback);
}

# done

{
    $t->release('run');
    $d = $t->ended($job);

    my $r = $t->ask(GET => $job);

    is($r->{status}, 200, 'done: 200');
    is($r->header('retry-after'), undef, 'no Retry-After');
    secure($r, 'done');

    is($d->{status}, 'succeeded', 'status');
    like($d->{finished_at}, $time, 'finished_at');
    like($d->{expires_at}, $time, 'expires_at');
    is_deeply($d->{response}, { status => 200, content_type => 'text/plain',
                                content_length => 20 }, 'response');
    is($d->{resourceLocation}, "$job/result", 'resourceLocation');
    ok(!exists $d->{$_}, "no $_")
        for qw(error progress estimated_finish_at position queue_paused);

    $r = $t->ask(HEAD => $job);
    is($r->{status}, 200, 'HEAD');
    is($r->{body}, '', 'has no body');
    secure($r, 'HEAD');
}

# queued

{
    my $first = $t->job(GET => '/one/?hold=one');
    $t->until($first, 'running');

    my @jobs = map { $t->job(GET => "/one/?b=$_") } 1 .. 3;

    for my $i (0 .. 2) {
        $d = $t->ask(GET => $jobs[$i])->json;
        is($d->{status}, 'notStarted', 'queued');
        is($d->{queue}, 'one', 'in its queue');
        is($d->{position}, $i + 1, 'position');
        ok(exists $d->{queue_paused} && !$d->{queue_paused},
           'queue_paused false');
        ok(!exists $d->{$_}, "no $_") for qw(started_at progress);
    }

    $t->release('one');
    is($t->ended($_)->{status}, 'succeeded', 'runs') for @jobs;
}

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

# failed

sub seconds
{
    my ($from, $to) = @_;

    s/.*T(\d\d):(\d\d):(\d\d)\..*/$1 * 3600 + $2 * 60 + $3/e for $from, $to;
    return ($to - $from) % 86400;
}

for my $case (
    ['an error of the upstream', '/ttl/?s=500&b=oops', 'http_500', 500],
    ['404', '/ttl/?s=404&b=oops', 'http_404', 404],
    ['a dead backend', '/dead/', 'http_502', 502],
    ['its error_page', '/page/', 'http_503', 503],
    ['a timeout', '/timeout/?hold=never', 'timeout'],
    ['too large', '/small/?n=100', 'response_too_large'],
) {
    my ($name, $uri, $code, $status) = @$case;
    my $failed = $t->done(GET => $uri);

    $d = $t->ask(GET => $failed)->json;

    is($d->{status}, 'failed', "$name: failed");
    is($d->{error}{code}, $code, "$name: error.code");
    ok(length $d->{error}{message}, "$name: error.message");
    is($d->{response}{status}, $status, "$name: response");
    ok(!exists $d->{resourceLocation}, "$name: no resourceLocation");
    is(seconds($d->{finished_at}, $d->{expires_at}), 7200, "$name: ttl")
        if $uri =~ /ttl/;
}

{
    my $ok = $t->done(GET => '/ttl/?b=x');
    $d = $t->ask(GET => $ok)->json;
    is(seconds($d->{finished_at}, $d->{expires_at}), 3600,
       'the ttl of what succeeded');
}

{
    my $first = $t->job(GET => '/hurry/?hold=hurry');
    $t->until($first, 'running');
    my $late = $t->job(GET => '/hurry/?b=late');

    $d = $t->ended($late);
    is($d->{status}, 'failed', 'too long in the queue: failed');
    is($d->{error}{code}, 'queue_timeout', 'queue_timeout');
    is($t->ask(GET => "$late/result")->{status}, 504, 'its result: 504');
    is($t->requests('GET /?b=late'), 0, 'it was not sent');
    $t->release('hurry');
}

# J/result of what is pending

{
    my $first = $t->job(GET => '/one/?half=half&n=200000');
    my $second = $t->job(GET => '/one/?b=x');
    $t->until($first, 'running');

    my $r = $t->ask(GET => "$second/result");

    is($r->{status}, 202, 'queued: J/result 202');
    is($r->header('location'), "$second/result", 'Location');
    is($r->header('content-location'), "$second/result", 'Content-Location');
    like($r->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
    is($r->header('x-progress'), 'queued, position 1', 'X-Progress');
    is($r->json->{status}, 'notStarted', 'the status document');
    secure($r, 'pending result');

    ok(Driver::until_true(5, sub {
        $d = $t->ask(GET => $first)->json;
        return $d->{progress}{bytes_received} > 50000;
    }), 'progress: bytes_received');
    cmp_ok($d->{progress}{bytes_received}, '<=', 100000,
           'progress: what has come');
    is($d->{progress}{bytes_total}, 200000, 'progress: bytes_total');

    $r = $t->ask(GET => "$first/result");
    is($r->{status}, 202, 'half a response is no result');
    like($r->header('x-progress'), qr/^running, \d+ of 200000 bytes received$/,
       'X-Progress');

    (my $other = $first) =~ s{/jobs/}{/200/};
    is($t->ask(GET => "$other/result")->{status}, 202,
       'async_result_status 200: pending is 202');

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

# the link to retry

{
    my $failed = $t->done(GET => '/kept/?s=500&b=x');
    is($t->ask(GET => $failed)->json->{links}{retry}, "$failed/retry",
       'a request that is kept has a link to run it again');
}

# whatever else

for my $case (
    [GET => '/jobs/x'], [GET => '/jobs/' . '0' x 36],
    [GET => "/jobs/$id/"], [GET => "/jobs/$id/other"],
    [GET => "/jobs/$id/result/"], [GET => "/jobs/$id/result/x"],
    [GET => "/jobs/${id}0"], [GET => '/jobs//'],
    [GET => '/jobs/'], [DELETE => '/jobs/x'], [POST => '/jobs/x/cancel'],
) {
    my ($method, $uri) = @$case;
    my $r = $t->ask($method => $uri);

    is($r->{status}, 404, "$method $uri: 404");
    is($r->header('content-type'), 'application/problem+json',
       "$method $uri: a problem");
    is($r->json->{type}, 'urn:ngx-async:problem:not-found',
       "$method $uri: not-found");
    secure($r, "$method $uri");
}

for my $case (
    [POST => '', 'GET, HEAD, DELETE'], [PUT => '/result', 'GET, HEAD, DELETE'],
    [POST => '/events', 'GET, HEAD'], [GET => '/cancel', 'POST'],
    [DELETE => '/retry', 'POST'], [PATCH => '', 'GET, HEAD, DELETE'],
    [OPTIONS => '/result', 'GET, HEAD, DELETE'],
) {
    my ($method, $suffix, $allow) = @$case;
    my $r = $t->ask($method => "$job$suffix");

    is($r->{status}, 405, "$method J$suffix: 405");
    is($r->header('allow'), $allow, "$method J$suffix: Allow");
    is($r->header('content-type'), 'application/problem+json',
       "$method J$suffix: a problem");
    is($r->json->{type}, 'urn:ngx-async:problem:method',
       "$method J$suffix: type");
    secure($r, "$method J$suffix");
}

{
    my $r = $t->ask(POST => '/jobs/');
    is($r->{status}, 405, 'POST to the list: 405');
    is($r->header('allow'), 'GET, HEAD', 'with Allow');
}

$t->stop;

done_testing;
