#!/usr/bin/perl

# The job resources: the status document, what is refused and how, cancel,
# DELETE, retry, the list and the metrics.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backend;
use Driver qw(free_port until_true);
use JSON::PP;
use Test::More;

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $backend = Backend->new($dir);
my ($port, $owned, $other) = map { free_port() } 1 .. 3;
my $pass = "proxy_pass http://127.0.0.1:@{[ $backend->port ]};";

my $nginx = Driver->new(port => $port, dir => $dir, workers => 2,
                        http => <<"END");
    async_queue single concurrency=1;
    async_wait_max 10s;
    async_keep_request 1h;

    server {
        listen 127.0.0.1:$port;

        location / { async on; $pass }
        location /single/ { async on queue=single; $pass }
        location /forgetful/ { async on; async_keep_request 0; $pass }
        location /jobs/ { async_jobs; async_jobs_list all; }
        location = /metrics { async_metrics; }
        error_page 404 405 409 =200 /error;
    }

    server {
        listen 127.0.0.1:$owned;
        async_owner \$http_x_owner;

        location / { async on; $pass }
        location /jobs/ { async_jobs; async_jobs_list own; }
    }

    server {
        listen 127.0.0.1:$other;
        location / { async on; $pass }
        location /jobs/ { async_jobs; }
    }
END

my $time = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;


sub at
{
    my ($port, $url) = @_;

    return "http://127.0.0.1:$port$url";
}

sub problem
{
    my ($r, $status, $type, $name) = @_;

    is($r->{status}, $status, "$name: $status");
    is($r->{headers}{'content-type'}, 'application/problem+json',
        'as a problem');
    is($r->{headers}{'cache-control'}, 'no-store', 'that is not kept');

    my $d = decode_json($r->{content});

    is($d->{type}, "urn:ngx-async:problem:$type", "of type $type");
    is($d->{status}, $status, 'its status');
    ok($d->{title} && $d->{detail}, 'its texts');
}


# the status document, from its beginning to its end

my $job = $nginx->submit(POST => '/report?gate=a&h=Content-Type:text/csv',
                         body => 'rows');
my ($id) = $job =~ m{/jobs/([0-9a-f-]{36})$};
my $d = until_true(5, sub {
    my $d = $nginx->json($job);
    return $d->{status} eq 'running' ? $d : undef;
});

is($d->{id}, $id, 'id');
like($d->{created_at}, $time, 'created_at');
like($d->{started_at}, $time, 'started_at');
is($d->{attempt}, 1, 'attempt');
is($d->{queue}, 'default', 'queue');
is_deeply($d->{request}, { method => 'POST',
    uri => '/report?gate=a&h=Content-Type:text/csv' }, 'request');
is_deeply($d->{links}, { self => $job, map { $_ => "$job/$_" }
    qw(result wait events cancel) }, 'links');
ok(!exists $d->{$_}, "no $_ yet")
    for qw(finished_at expires_at response resourceLocation error position);

my $r = $nginx->request(GET => "$job/result");
is($r->{status}, 202, 'a pending result');
is($r->{headers}{location}, "$job/result", 'Location');
is($r->{headers}{'content-location'}, "$job/result", 'Content-Location');
is($r->{headers}{'retry-after'}, 2, 'Retry-After before any sample');
is($r->{headers}{'x-progress'}, 'running', 'X-Progress');
is($r->{headers}{'referrer-policy'}, 'no-referrer', 'Referrer-Policy');
is($r->{headers}{'x-content-type-options'}, 'nosniff', 'nosniff');
is(decode_json($r->{content})->{status}, 'running', 'the document');

$backend->open('a');
$d = $nginx->json("$job?wait=10");

is($d->{status}, 'succeeded', 'it succeeds');
like($d->{finished_at}, $time, 'finished_at');
like($d->{expires_at}, $time, 'expires_at');
is_deeply($d->{response}, { status => 200, content_type => 'text/csv',
    content_length => 9 }, 'response');
is($d->{resourceLocation}, "$job/result", 'resourceLocation');
ok(!exists $d->{$_}, "no $_ any more") for qw(error progress position);

my $failed = $nginx->submit(GET => '/x?status=503');
$d = $nginx->json("$failed?wait=10");
is($d->{status}, 'failed', 'a failed one');
is($d->{error}{code}, 'http_503', 'error.code');
ok($d->{error}{message}, 'error.message');
is($d->{response}{status}, 503, 'its response');
is($d->{links}{retry}, "$failed/retry", 'it can be run again');

# in a queue

my ($first, $second, $third) =
    map { $nginx->submit(GET => "/single/?gate=b") } 1 .. 3;
$d = $nginx->json($third);
is($d->{status}, 'notStarted', 'it waits');
is($d->{position}, 2, 'as the second');
ok(!$d->{queue_paused}, 'in a queue that is not paused');
$r = $nginx->request(GET => "$second/result");
is($r->{headers}{'x-progress'}, 'queued, position 1', 'X-Progress says it');

# HEAD, and what is refused for its form

$r = $nginx->request(HEAD => $job);
is($r->{status}, 200, 'HEAD J');
cmp_ok($r->{headers}{'content-length'}, '>', 100, 'has a length');

for ([PUT => '', 'GET, HEAD, DELETE'], [POST => '/result', 'GET, HEAD, DELETE'],
    [GET => '/cancel', 'POST'], [DELETE => '/retry', 'POST'],
    [POST => '/events', 'GET, HEAD'])
{
    my ($method, $suffix, $allow) = @$_;

    for my $job ($job, at($port, '/jobs/malformed')) {
        $r = $nginx->request($method => "$job$suffix");
        problem($r, 405, 'method', "$method J$suffix");
        is($r->{headers}{allow}, $allow, 'Allow');
    }
}

problem($nginx->request(POST => '/jobs/'), 405, 'method', 'POST of the list');
problem($nginx->request(GET => "$job$_"), 404, 'not-found', "J$_")
    for ('/', '/nothing', '/result/', '/result/x');

for ([DELETE => ''], [DELETE => '/result'], [POST => '/cancel'],
    [POST => '/retry'])
{
    my ($method, $suffix) = @$_;

    problem($nginx->request($method => "$third$suffix",
            headers => { 'Sec-Fetch-Site' => 'cross-site' }),
        403, 'cross-site', "$method J$suffix of another site");
}

is($nginx->json($third)->{status}, 'notStarted', 'nothing has happened');

# what there is not, and what is somebody else's

sub gist
{
    my ($r) = @_;

    delete @{$r->{headers}}{qw(date)};
    return join "\n", $r->{status}, $r->{content},
        map { "$_: $r->{headers}{$_}" } sort keys %{$r->{headers}};
}

sub mine { return (headers => { 'X-Owner' => $_[0] }) }

my $joes = $nginx->submit(GET => at($owned, '/x'), mine('joe'));
my $nobodys = $nginx->submit(GET => at($owned, '/x'));

is($nginx->json("$joes?wait=10", mine('joe'))->{status}, 'succeeded',
    'an owner sees it');

for (['' => 'GET'], ['/result' => 'GET'], ['/wait' => 'GET'],
    ['/events' => 'GET'], ['' => 'DELETE'], ['/cancel' => 'POST'],
    ['/retry' => 'POST'], ['?wait=9' => 'GET'])
{
    my ($suffix, $method) = @$_;
    my $absent = gist($nginx->request($method =>
        at($owned, "/jobs/01981f3e-7a5c-7cc3-98c4-dc0c0c07398f$suffix"),
        mine('ann')));

    like($absent, qr/^404\n/, "$method J$suffix that is not there");
    is(gist($nginx->request($method => "$joes$suffix", mine('ann'))), $absent,
        'the same for a stranger');
    is(gist($nginx->request($method => "$joes$suffix")), $absent,
        'for nobody');
    is(gist($nginx->request($method => "$nobodys$suffix", mine('ann'))),
        $absent, 'of nobody');
    is(gist($nginx->request($method => at($owned, "/jobs/no-id$suffix"),
        mine('ann'))), $absent, 'for a malformed id');
}

is($nginx->json("$nobodys?wait=10")->{status}, 'succeeded',
    'one of nobody is for nobody');

(my $elsewhere = $job) =~ s/:$port/:$other/;
is($nginx->request(GET => $elsewhere)->{status}, 404,
    'a job of another server');

# cancel, DELETE

my $waiting = $nginx->submit(GET => '/x?gate=never');
$r = $nginx->request(DELETE => $waiting);
is($r->{status}, 202, 'DELETE of a job that runs');
is($r->{headers}{location}, $waiting, 'Location');
is(decode_json($r->{content})->{status}, 'canceled', 'its status');
$r = $nginx->request(GET => "$waiting/result");
problem($r, 404, 'canceled', 'its result');
is($r->{headers}{'async-status'}, 'canceled', 'Async-Status');
problem($nginx->request(POST => "$waiting/cancel"), 409, 'finished',
    'cancel of a job that has ended');
is($nginx->json($waiting)->{status}, 'canceled', 'forgets nothing');
is($nginx->request(DELETE => "$waiting/result")->{status}, 204,
    'DELETE of it');
is($nginx->request(GET => $waiting)->{status}, 404, 'does');

$r = $nginx->request(POST => "$third/cancel");
is($r->{status}, 202, 'cancel of one that waits');
is(decode_json($r->{content})->{status}, 'canceled', 'its status');
$backend->open('b');
$nginx->wait_job($second);
is($backend->count('/single/'), 2, 'it was never sent');

# retry

$r = $nginx->request(POST => "$failed/retry");
is($r->{status}, 202, 'a failed job runs again');
$d = $nginx->json("$failed?wait=10");
is("$d->{status} $d->{attempt}", 'failed 2', 'and fails again');
problem($nginx->request(POST => "$job/retry"), 409, 'not-retryable',
    'one that succeeded');
my $forgetful = $nginx->submit(GET => '/forgetful/?status=500');
$nginx->json("$forgetful?wait=10");
problem($nginx->request(POST => "$forgetful/retry"), 409, 'not-retryable',
    'one whose request is not kept');

# the list

my $list = $nginx->json('/jobs/?limit=2');
is(@{$list->{jobs}}, 2, 'a page of the list');
like($list->{next}, qr{^http://127\.0\.0\.1:$port/jobs/\?}, 'the next one');

my @ids;

for (my $page = $list, my $n = 0; $page && $n < 20; $n++) {
    push @ids, map { $_->{id} } @{$page->{jobs}};
    $page = $page->{next} ? $nginx->json($page->{next}) : undef;
}

is_deeply(\@ids, [reverse sort @ids], 'newest first');
is_deeply([sort @ids], [sort map { m{([^/]+)$} }
    $job, $failed, $first, $second, $third, $forgetful], 'each once');
is(scalar(grep { $_->{request}{uri} =~ /\?/ } @{$list->{jobs}}), 0,
    'without queries');

$d = $nginx->json('/jobs/?queue=single&status=canceled');
is_deeply([map { $_->{id} } @{$d->{jobs}}], [$third =~ m{([^/]+)$}],
    'filters');
problem($nginx->request(GET => "/jobs/?$_"), 400, 'cursor', "?$_")
    for qw(cursor=x status=done limit=0 limit=x);

$d = $nginx->json(at($owned, '/jobs/'), mine('joe'));
is_deeply([map { $_->{id} } @{$d->{jobs}}], [$joes =~ m{([^/]+)$}],
    "a list of one's own");
is_deeply($nginx->json(at($owned, '/jobs/'))->{jobs}, [],
    "nobody's jobs are not listed");
problem($nginx->request(GET => at($other, '/jobs/')), 404, 'not-found',
    'no list');

# pages for browsers

my %browser = (headers => { 'Sec-Fetch-Mode' => 'navigate' });

$r = $nginx->request(GET => $failed, %browser);
like($r->{headers}{'content-type'}, qr{^text/html}, 'a page');
like($r->{headers}{'content-security-policy'}, qr/^default-src 'none'; /,
    'its policy');
unlike($r->{headers}{'content-security-policy'}, qr/unsafe/, 'is strict');
like($r->{content}, qr{<h1[^>]*>Failed</h1>}, 'its title');
$r = $nginx->request(GET => '/jobs/', %browser);
like($r->{content}, qr{<table>.*Failed|failed}s, 'the list as a page');
$r = $nginx->request(GET => '/jobs/x', %browser);
is($r->{status}, 404, 'an error');
like($r->{content}, qr{<h1>Not found</h1>}, 'as a page');
$r = $nginx->request(POST => "$job/cancel", %browser);
is("$r->{status} $r->{headers}{location}", "303 $job",
    'cancel leads to the page');

my $odd = $nginx->submit(GET => '/%3Cscript%3E?gate=c&"><script>');
$r = $nginx->request(GET => "$odd/result", %browser);
is("$r->{status} $r->{headers}{location}", "303 $odd",
    'a pending result leads there, too');
$r = $nginx->request(GET => $odd, %browser);
is(() = $r->{content} =~ /<script/g, 1, 'one script on the page');
$backend->open('c');

# metrics

$r = $nginx->request(GET => '/metrics');
is($r->{status}, 200, 'metrics');
like($r->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4},
    'their type');
like($r->{content}, qr/^ngx_async_jobs_accepted_total\{queue="single"\} 3$/m,
    'accepted jobs');
like($r->{content}, qr/^ngx_async_jobs_canceled_total\{queue="single"\} 1$/m,
    'canceled ones');
like($r->{content}, qr/^ngx_async_store_size_bytes 268435456$/m,
    'the size of the store');
problem($nginx->request(POST => '/metrics'), 405, 'method', 'POST of metrics');

$nginx->stop;
done_testing;
