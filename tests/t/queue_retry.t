#!/usr/bin/perl

# async_retry, async_keep_request, the queue's timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dead = NgxAsync::free_port();
my $nginx = NgxAsync->new(workers => 2, http => <<'END', locations => <<"END2");
    async_queue slow concurrency=1 timeout=300ms;
    async_queue both pause_on=http_502 pause=50ms;
    async_queue count pause_on=error pause=200ms;
    proxy_cache_path cache keys_zone=cache:1m;
    proxy_cache_valid any 1s;
    proxy_cache_use_stale error;
END
        location /retry/ {
            async on;
            async_retry http_503 tries=3 backoff=20ms;
            proxy_pass $backend->{url}/;
        }
        location /post/ {
            async on;
            async_retry http_503 non_idempotent tries=2 backoff=20ms;
            proxy_pass $backend->{url}/;
        }
        location /dead/ {
            async on;
            async_retry error tries=3 backoff=20ms;
            proxy_pass http://127.0.0.1:$dead/;
        }
        location = /page { return 200 "page\n"; }
        location /paged/ {
            async on;
            async_retry error tries=2 backoff=20ms;
            error_page 502 = /page;
            proxy_pass http://127.0.0.1:$dead/;
        }
        location ~ ^/cached/([0-9]+) {
            proxy_cache cache;
            proxy_cache_key k;
            add_header X-Cache \$upstream_cache_status;
            proxy_pass http://127.0.0.1:\$1/;
        }
        location ~ ^/stale/([0-9]+) {
            async on;
            proxy_cache cache;
            proxy_cache_key k;
            proxy_pass http://127.0.0.1:\$1/;
        }
        location /nowhere/ {
            async on;
            async_retry error tries=2 backoff=20ms;
            set \$nowhere nowhere.invalid;
            resolver 127.0.0.1:$dead;
            resolver_timeout 50ms;
            proxy_pass http://\$nowhere/;
        }
        location /both/ {
            async on queue=both;
            async_wait 20s;
            async_retry http_502 non_idempotent tries=3 backoff=20ms;
            proxy_pass $backend->{url}/;
        }
        location /error/ {
            async on;
            async_retry error tries=2 backoff=20ms;
            proxy_pass $backend->{url}/;
        }
        location /long/ {
            async on;
            async_retry http_503 tries=2 backoff=1h max_backoff=1h;
            proxy_pass $backend->{url}/;
        }
        location /keep/ {
            async on;
            async_keep_request 1h;
            proxy_pass $backend->{url}/;
        }
        location /slow/ { async on queue=slow; proxy_pass $backend->{url}/; }
        location /count/ { async on queue=count; proxy_pass $backend->{url}/; }
        location /none/ {
            async on queue=count;
            proxy_pass http://127.0.0.1:$dead/;
        }
        location = /metrics { async_metrics; }
END2

my ($job, $d, $r);

$job = $nginx->submit('GET', '/retry/?token=r&status=503');
$d = $nginx->wait_end($job);

is($d->{status}, 'failed', 'a GET that fails to the end');
is($d->{attempt}, 3, 'was tried three times');
is($d->{error}{code}, 'http_503', 'and ends with the last status');
is($backend->seen('r'), 3, 'the backend saw each of them');
is(request($nginx->{port}, 'GET', "/jobs/$job/result")->{status}, 503,
   'the last response is the result');

$job = $nginx->submit('POST', '/retry/?token=p&status=503', body => 'x');
is($nginx->wait_end($job)->{attempt}, 1, 'a POST is not repeated');

$job = $nginx->submit('POST', '/post/?token=q&status=503', body => 'x');
is($nginx->wait_end($job)->{attempt}, 2, 'unless with non_idempotent');
is($backend->seen('q'), 2, 'and then it is');

$job = $nginx->submit('POST', '/dead/?token=d', body => 'x');
$d = $nginx->wait_end($job);

is($d->{attempt}, 3, 'a POST that reached nobody is tried again');
is($d->{error}{code}, 'http_502', 'and ends with what the location answers');


# error_page changes the status of the response, not what became of the call

$job = $nginx->submit('POST', '/paged/?token=paged', body => 'x');
$d = $nginx->wait_end($job);

is($d->{attempt}, 2, 'a call whose error_page answers 200 is tried again');
is($d->{response}{status}, 200, 'and then ends with what that answers');
is($d->{status}, 'failed', 'which makes no success of it');


# a name that does not resolve, as a connection that is refused

$job = $nginx->submit('POST', '/nowhere/', body => 'x');
$d = $nginx->wait_end($job);

is($d->{attempt}, 2, 'a POST to a name that is not known is tried again');


# an attempt that is repeated answers nobody

$r = request($nginx->{port}, 'POST', '/both/?token=both&status=502',
             body => 'x');
$d = $nginx->json("/jobs/$r->{headers}{'async-id'}[0]");

is($r->{status}, 502, 'a client that is held has the last response');
is($d->{attempt}, 3, 'of the last attempt');


# a stale response of the cache is one

request($nginx->{port}, 'GET', "/cached/$backend->{port}");
wait_until(sub {
    my $r = request($nginx->{port}, 'GET', "/cached/$dead");
    return ($r->{headers}{'x-cache'} // '') eq 'STALE';
});

$job = $nginx->submit('GET', "/stale/$dead");
$d = $nginx->wait_end($job);

is($d->{status}, 'succeeded', 'a stale response is a response');


# responses that end too early

$job = $nginx->submit('GET', '/error/?token=e&short=9');
$d = $nginx->wait_end($job);

is($d->{error}{code}, 'interrupted', 'a GET whose response is cut off');
is($d->{attempt}, 2, 'is tried as often as async_retry says');
is($backend->seen('e'), 2, 'and no more');

$job = $nginx->submit('PUT', '/keep/?token=c&short=9', body => 'x');
$d = $nginx->wait_end($job);

is($d->{error}{code}, 'interrupted', 'a PUT without async_retry');
is($backend->seen('c'), 4, 'is sent again three times');


# between two attempts

$job = $nginx->submit('GET', '/long/?token=l&status=503');

ok(wait_until(sub {
    my $d = $nginx->json("/jobs/$job");
    $d->{status} eq 'notStarted' && $d->{attempt} == 2
}), 'it waits for its next attempt');

$nginx->kill_all;
$nginx->start;

is($nginx->json("/jobs/$job")->{status}, 'notStarted',
   'and still does after a restart');
is($backend->seen('l'), 1, 'which keeps the schedule');

is(request($nginx->{port}, 'DELETE', "/jobs/$job")->{status}, 202,
   'it can be canceled');
is($nginx->status($job), 'canceled', 'and then is');


# POST J/retry

$job = $nginx->submit('POST', '/keep/?token=k&status=500', body => 'again');
is($nginx->wait_end($job)->{status}, 'failed', 'a job whose request is kept');

$r = request($nginx->{port}, 'POST', "/jobs/$job/retry");

is($r->{status}, 202, 'can be run again');
is($r->{headers}{'async-id'}[0] // $job, $job, 'as the same job');

ok(wait_until(sub { $nginx->json("/jobs/$job")->{attempt} == 2 }),
   'with its next attempt');
is($nginx->wait_end($job)->{status}, 'failed', 'which ends');
is($backend->seen('k'), 2, 'the backend saw it again');
is($backend->seen('k', 'body'), 2, 'with its body');

$job = $nginx->submit('POST', '/post/?token=nk&status=500', body => 'x');
$nginx->wait_end($job);

is(request($nginx->{port}, 'POST', "/jobs/$job/retry")->{status}, 409,
   'a job whose request is not kept cannot');


# the queue's timeout

my $first = $nginx->submit('GET', '/slow/?token=s1&gate=s');
my $second = $nginx->submit('GET', '/slow/?token=s2');

$d = $nginx->wait_end($second);

is($d->{status}, 'failed', 'a job that waits too long');
is($d->{error}{code}, 'queue_timeout', 'fails with queue_timeout');
is($backend->seen('s2'), 0, 'and never starts');
is(request($nginx->{port}, 'GET', "/jobs/$second/result")->{status}, 504,
   'its result is 504');

$backend->release('s');
is($nginx->wait_end($first)->{status}, 'succeeded', 'the other one goes on');


# attempts_repeated_total: that of a call whose worker is gone, but not what
# was never sent

$job = $nginx->submit('GET', '/count/?token=dead&gate=dead');
$backend->wait_for('dead');
$nginx->kill_worker($_) for $nginx->workers;

ok(wait_until(sub { $backend->seen('dead') == 2 }, 20),
   'a GET of a worker that is gone is sent again');
$backend->release('dead');
is($nginx->wait_end($job)->{attempt}, 2, 'as the second attempt');

my $probes = sub { scalar(() = $nginx->log =~ /connect\(\) failed/g) };
my $before = $probes->();

$job = $nginx->submit('GET', '/none/?token=none');
ok(wait_until(sub { $probes->() >= $before + 3 }, 20), 'probes that fail');

like($nginx->request_to('GET', '/metrics')->{body},
     qr/^ngx_async_attempts_repeated_total\{queue="count"\} 1$/m,
     'one attempt is counted as repeated');
is(request($nginx->{port}, 'DELETE', "/jobs/$job")->{status}, 202, 'the end');

$nginx->stop;

done_testing;
