#!/usr/bin/perl

# Submissions: which requests become jobs, and what their clients are told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue tiny concurrency=1 backlog=1;

    map \$request_method \$mode {
        POST     on;
        DELETE   1;
        PUT      \$arg_mode;
        default  prefer;
    }

    server {
        listen 127.0.0.1:$t->{port};

        location /on/ { async on; $pass }
        location /redirect/ { async on; async_wait 200ms redirect; $pass }
        location /hold/ { async on; async_wait 10s; $pass }
        location /prefer/ { async prefer; $pass }
        location /map/ { async \$mode; $pass }

        location /outer/ {
            async on;
            $pass
            location /outer/inner/ { async off; $pass }
            location /outer/if/ {
                if (\$arg_sync) { async off; }
                $pass
            }
        }

        location /unbuffered/ {
            async on;
            proxy_request_buffering off;
            $pass
        }

        location /denied/ { async on; deny all; $pass }
        location /return/ { async on; return 204; }
        location /static/ { async on; alias $t->{dir}/; }

        location /failed/ {
            error_page 502 = \@fallback;
            proxy_pass http://127.0.0.1:1/;
        }
        location \@fallback {
            async on;
            proxy_pass http://127.0.0.1:$t->{backend};
        }

        location /tiny/ { async on queue=tiny; $pass }
        location /pass/ { async on queue=tiny; async_full pass; $pass }
        location /dav/ {
            async on queue=tiny;
            async_full pass;
            dav_methods PUT;
            create_full_put_path on;
            root $t->{dir};
        }

        location /callback/ {
            async on;
            async_callback \$http_x_callback_url;
            async_callback_allow http://127.0.0.1:1/hooks/;
            error_page 400 422 429 500 503 /error;
            $pass
        }
        location = /error { return 200 replaced; }

        location /jobs/ { async_jobs; }
        location = /metrics { async on; async_metrics; }
    }
END
});

my $base = "http://localhost:$t->{port}/jobs/";


# 202

{
    my $r = $t->ask(POST => '/on/a?c=x', body => 'body',
                    headers => ['Prefer: respond-async']);

    is($r->{status}, 202, '202 Accepted');

    my ($id) = ($r->header('operation-location') // '') =~ /([^\/]*)$/;

    like($id, qr/^$uuid$/, 'the id is a UUID of version 7');

    my $job = "$base$id";

    is($r->header('location'), "$job/result", 'Location');
    is($r->header('content-location'), "$job/result", 'Content-Location');
    is($r->header('operation-location'), $job, 'Operation-Location');
    is($r->header('async-id'), $id, 'Async-Id');
    like($r->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
    is($r->header('preference-applied'), 'respond-async',
       'Preference-Applied, as it was asked for');
    is($r->header('vary'), 'Prefer, Accept, Sec-Fetch-Mode', 'Vary');
    is($r->header('cache-control'), 'no-store', 'Cache-Control');
    is($r->header('content-type'), 'application/json', 'Content-Type');

    my $d = $r->json;

    is($d->{id}, $id, 'id');
    like($d->{status}, qr/^(notStarted|running)$/, 'its true status');
    is_deeply($d->{links},
              { self => $job, result => "$job/result", wait => "$job/wait",
                events => "$job/events", cancel => "$job/cancel" }, 'links');

    is($t->ended($job)->{status}, 'succeeded', 'the job runs');
    is($t->requests('POST /a?c=x '), 1, 'once');

    my $seen = $t->ask(GET => "$job/result")->{body};

    like($seen, qr/\r\n\r\nbody$/, 'the backend gets the body');
    unlike($seen, qr/^prefer:/mi, 'and no Prefer');

    is($t->ask(POST => '/on/', body => 'x')->header('preference-applied'),
       undef, 'no Preference-Applied when it was not asked for');
}

# ids differ

{
    my %ids = map { $t->job(GET => '/on/?b=x') => 1 } 1 .. 20;
    is(scalar keys %ids, 20, 'ids are not used twice');
}

# an absolute Host, IPv6, a port

for my $host ('example.com', 'example.com:8443', '[::1]:80') {
    my $r = $t->ask(GET => '/on/', headers => ["Host: $host"]);
    like($r->header('location'), qr{^http://\Q$host\E/jobs/$uuid/result$},
         "the URLs for Host: $host");
}

{
    my $r = $t->ask(GET => '/on/', version => '1.0', no_host => 1);
    like($r->header('location'),
         qr{^http://127\.0\.0\.1:$t->{port}/jobs/$uuid/result$},
         'the URLs without a Host');
}


# navigations

my @browser = ('Accept: text/html,application/xhtml+xml,application/xml;q=0.9,'
               . '*/*;q=0.8');

for my $case (
    ['Sec-Fetch-Mode: navigate', ['Sec-Fetch-Mode: navigate']],
    ['navigate with any Accept', ['Sec-Fetch-Mode: navigate', 'Accept: */*']],
    ['an Accept of browsers', \@browser],
    ['respond-async does not matter',
     [@browser, 'Prefer: respond-async']],
) {
    my ($name, $headers) = @$case;
    my $r = $t->ask(POST => '/on/', body => 'a=b', headers => $headers);

    is($r->{status}, 303, "$name: 303");
    like($r->header('location'), qr{^\Q$base\E$uuid$}, "$name: to J");
    like($r->header('async-id'), qr/^$uuid$/, "$name: with Async-Id");
}

for my $case (
    ['fetch() of a page', ['Sec-Fetch-Mode: cors', @browser]],
    ['any Sec-Fetch', ['Sec-Fetch-Site: same-origin', @browser]],
    ['html alone', ['Accept: text/html']],
    ['xhtml alone', ['Accept: application/xhtml+xml']],
    ['curl', ['Accept: */*']],
) {
    my ($name, $headers) = @$case;
    is($t->ask(GET => '/on/', headers => $headers)->{status}, 202,
       "$name: is no navigation");
}

{
    my $r = $t->ask(GET => '/redirect/?hold=nav', headers => \@browser);
    is($r->{status}, 303, 'a navigation after a hold: 303');
    like($r->header('location'), qr{^\Q$base\E$uuid$}, 'to J, not J/wait');

    $r = $t->ask(GET => '/hold/?b=quick', headers => \@browser);
    is($r->{body}, 'quick', 'one that is answered in time gets it');
    $t->release('nav');
}


# async prefer, variables, levels

{
    is($t->ask(GET => '/prefer/', headers => ['Prefer: respond-async'])
       ->{status}, 202, 'prefer: respond-async');
    is($t->ask(POST => '/map/', body => '')->{status}, 202, '$mode on');
    is($t->ask(DELETE => '/map/')->{status}, 202, '$mode 1');
    is($t->ask(GET => '/map/')->{status}, 200, '$mode prefer');
    is($t->ask(GET => '/map/', headers => ['Prefer: respond-async'])
       ->{status}, 202, '$mode prefer, and the preference');
    is($t->ask(PUT => '/map/', body => '')->{status}, 200, '$mode empty');
    is($t->ask(PUT => '/map/?mode=0', body => '')->{status}, 200, '$mode 0');
    is($t->ask(PUT => '/map/?mode=off', body => '')->{status}, 200,
       '$mode off');
    is($t->ask(PUT => '/map/?mode=on', body => '')->{status}, 202, '$mode on');
    is($t->ask(PUT => '/map/?mode=yes', body => '')->{status}, 200,
       'any other $mode is off');
    like($t->log, qr/\[warn\].*"yes".*"async"/, 'and is warned of');

    is($t->ask(GET => '/outer/')->{status}, 202, 'an outer location');
    is($t->ask(GET => '/outer/inner/')->{status}, 200, 'async off inside');
    is($t->ask(GET => '/outer/if/')->{status}, 202, 'inherited inside');
    is($t->ask(GET => '/outer/if/?sync=1')->{status}, 200, 'async off in if');
}


# never a job

for my $method (qw(HEAD OPTIONS)) {
    my $r = $t->ask($method => '/on/?h=X-A:1');
    is($r->{status}, 200, "$method is left alone");
    is($r->header('x-a'), '1', "$method: by the backend");
}

is($t->ask(TRACE => '/on/')->{status}, 405, 'TRACE is left alone');

for my $case (
    ['Upgrade', [GET => '/on/', headers => ['Upgrade: websocket']]],
    ['gRPC', [POST => '/on/', body => '',
              headers => ['Content-Type: application/grpc']]],
    ['gRPC with a suffix', [POST => '/on/', body => '', headers =>
                            ['Content-Type: application/grpc+proto']]],
    ['proxy_request_buffering off', [POST => '/unbuffered/', body => 'x']],
    ['an error_page after an upstream has failed', [GET => '/failed/']],
) {
    my ($name, $request) = @$case;
    is($t->ask(@$request)->{status}, 200, "$name: left alone");
}

is($t->ask(GET => '/denied/')->{status}, 403, 'access is denied before');
is($t->ask(GET => '/return/')->{status}, 204, 'return comes before');
is($t->ask(GET => '/metrics')->{status}, 200, 'async_metrics is no job');

{
    my $r = $t->begin(GET => '/on/?b=09', before => "GET /on/?b=09\r\n")
        ->finish;
    is($r->{text}, '09', 'HTTP/0.9 is left alone');
}

{
    my $job = $t->done(GET => '/static/nginx.conf');
    like($t->ask(GET => "$job/result")->{body}, qr/async_store/,
         'static files are a content handler, too');
}

{
    my $r = $t->ask(GET => '/on/?b=10', version => '1.0');
    is($r->{status}, 202, 'HTTP/1.0 is not');
}

for my $method (qw(POST PUT PATCH DELETE PROPFIND GET)) {
    my $job = $t->done($method => "/on/m", body => 'x');
    is($t->requests("$method /m "), 1, "$method becomes a job");
}

# chunked, and larger than memory

{
    my $job = $t->done(POST => '/on/', body => "3\r\nabc\r\n0\r\n\r\n",
                       headers => ['Transfer-Encoding: chunked']);
    like($t->ask(GET => "$job/result")->{body}, qr/\r\n\r\nabc$/,
         'a chunked body');

    my $body = join '', map { chr(65 + $_ % 26) } 1 .. 300000;
    $job = $t->done(POST => '/on/', body => $body);
    my $seen = $t->ask(GET => "$job/result")->{body};
    ok(substr($seen, -300000) eq $body, 'a body that goes to a file');
}


# problems

sub problem
{
    my ($r, $status, $type, $name) = @_;

    is($r->{status}, $status, "$name: $status");
    is($r->header('content-type'), 'application/problem+json',
       "$name: a problem");
    is($r->header('cache-control'), 'no-store', "$name: not to be stored");

    my $d = $r->json;

    is($d->{type}, "urn:ngx-async:problem:$type", "$name: type");
    is($d->{status}, $status, "$name: status");
    ok(length $d->{title}, "$name: title");
    like($d->{detail}, qr/\w.*\.$/, "$name: detail");
    is($r->header('location'), undef, "$name: no job");
    is($r->header('async-id'), undef, "$name: no id");
}

problem($t->ask(GET => '/callback/',
                headers => ['X-Callback-URL: http://127.0.0.1:2/hooks/']),
        400, 'callback', 'a callback that is not allowed');
problem($t->ask(GET => '/callback/', headers => ['X-Callback-URL: nonsense']),
        400, 'callback', 'a malformed callback');
problem($t->ask(GET => '/callback/', headers => ['Idempotency-Key: ""']),
        400, 'key', 'an empty key');

{
    my @key = (headers => ['Idempotency-Key: a']);
    is($t->ask(GET => '/callback/?b=1', @key)->{status}, 202, 'a key');
    problem($t->ask(GET => '/callback/?b=2', @key), 422, 'key-reused',
            'its reuse, with error_page');

    my $r = $t->ask(GET => '/callback/?b=2',
                    headers => ['Idempotency-Key: a', @browser]);
    is($r->{status}, 422, 'a problem of a navigation');
    like($r->header('content-type'), qr{^text/html}, 'is a page');
}

# a full queue

{
    my $first = $t->job(GET => '/tiny/?hold=tiny');
    is($t->until($first, 'running')->{status}, 'running', 'one runs');

    my $second = $t->job(GET => '/tiny/?b=second');
    my $full = $t->ask(GET => '/tiny/?b=third');

    problem($full, 503, 'queue-full', 'the backlog is full');
    like($full->header('retry-after'), qr/^[1-9]\d*$/, 'with Retry-After');

    my $passed = $t->ask(GET => '/pass/?b=passed');
    is($passed->{status}, 200, 'async_full pass: run at once');
    is($passed->{body}, 'passed', 'as if async were off');
    is($passed->header('async-bypass'), 'queue_full', 'Async-Bypass says why');
    is($passed->header('async-id'), undef, 'it is no job');

    $passed = $t->ask(POST => '/pass/', body => 'posted');
    like($passed->{body}, qr/\r\n\r\nposted$/, 'a POST, too, with its body');

    for my $size (0, 10, 300_000) {
        my $body = 'x' x $size;

        $passed = $t->ask(PUT => "/dav/put$size", body => $body);
        is($passed->{status}, 201, "WebDAV, too: $size bytes");
        is($passed->header('async-bypass'), 'queue_full', 'passed');

        open my $f, '<', "$t->{dir}/dav/put$size";
        ok(join('', $f ? <$f> : 'none') eq $body, 'put as they were');
    }

    $t->release('tiny');
    is($t->ended($second)->{status}, 'succeeded', 'what waited runs');
    is($t->requests('GET /?b=third'), 0, 'what was refused does not');
    is($t->ask(GET => '/pass/?b=x')->{status}, 202, 'there is room again');
}

$t->stop;

done_testing;
