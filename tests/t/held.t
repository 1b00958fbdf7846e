#!/usr/bin/perl

# Held clients: those whose job waits in the store or belongs to another
# request get what plain nginx would have sent, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    return <<"END";
    async_queue one concurrency=1;
    add_header X-Filter once;
    client_body_buffer_size 16k;
    proxy_buffering on;

    log_format head '\$uri \$sent_http_cache_control \$sent_http_x_filter';

    server {
        listen 127.0.0.1:$t->{port};

        location /file/ {
            async on;
            async_wait 10s;
            alias $t->{dir}/;
            access_log $t->{dir}/head.log head;
        }

        location /linger/ {
            async on;
            async_wait 10s;
            lingering_close always;
            access_log $t->{dir}/head.log head;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /plain/ {
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /held/ {
            async on;
            async_wait 10s;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /queued/ {
            async on queue=one;
            async_wait 10s;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /short/ {
            async on queue=one;
            async_wait 300ms;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /soon/ {
            async on queue=one;
            async_wait 2s;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /timeout/ {
            async on queue=one;
            async_wait 10s;
            async_timeout 200ms;
            async_key \$http_idempotency_key;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /large/ {
            async on queue=one;
            async_wait 10s;
            async_max_response_size 10;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location /jobs/ { async_jobs; }
    }
END
});


# what the client of plain nginx gets, without what is of the moment

sub plain
{
    my ($r) = @_;

    my @head = grep { !/^(date|async-id):/i }
               map { "$_->[0]: $_->[1]" } @{$r->{headers}};

    return join "\n", $r->{line}, @head, '', $r->{body};
}


# requests that are logged when their call is gone, with its memory

sub logged
{
    open my $f, '<', "$t->{dir}/head.log" or return '';
    local $/;
    return <$f> // '';
}

{
    my $r = $t->ask(GET => '/linger/?b=x&h=Cache-Control:public');
    is($r->{body}, 'x', 'a response before a lingering close');

    ok(Driver::until_true(5, sub { logged() =~ m{^/linger/ .* once$}m }),
       'its header is logged');
}

{
    # it has left before its response is there, within the phases

    my ($worker) = $t->workers;
    my $c = $t->begin(GET => '/file/nginx.conf',
                      headers => ['Connection: keep-alive']);
    $c->expect(qr/\r\n\r\n.*\}\n\z/s);

    kill STOP => $worker;
    $c->put("GET /file/nginx.conf?left HTTP/1.1\r\nHost: a\r\n\r\n");
    setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $c->leave;
    kill CONT => $worker;

    ok(Driver::until_true(5, sub {
           2 == (() = logged() =~ m{^/file/.* once$}mg);
       }),
       'the header for a client that has gone is logged, too');
}


# a job in front of one that waits in the queue of one

my $n = 0;

sub queued
{
    my ($method, $uri, %args) = @_;

    my $name = 'first' . ++$n;
    my $first = $t->begin(GET => "/queued/?hold=$name");

    Driver::until_true(5, sub { $t->requests("GET /?hold=$name") });

    my $second = $t->begin($method, $uri, %args);
    ok($second->held, 'the second one waits');

    $t->release($name);
    is($first->finish->{status}, 200, 'the first one is answered');

    return $second->finish;
}


for my $case (
    ['a response', 'b=hello'],
    ['an empty body', 'b='],
    ['headers with repeats, cookies',
     'b=x&h=X-A:1&h=X-A:2&h=Set-Cookie:a=b&h=Set-Cookie:c=d'
     . '&h=Cache-Control:max-age%3d5&h=Expires:Thu,%2001%20Jan%201970'],
    ['an error', 's=404&b=no&h=Retry-After:7'],
    ['201 with a relative Location', 's=201&b=made&h=Location:/made/1'],
    ['202', 's=202&b=later'],
    ['204', 's=204'],
    ['304', 's=304&h=ETag:%22a%22'],
    ['ETag and Last-Modified',
     'b=abcdef&h=ETag:%22abc%22&h=Last-Modified:Thu,%2001%20Jan%202015'
     . '%2000:00:00%20GMT'],
    ['206', 's=206&b=bc&h=Content-Range:bytes%201-2/6'],
    ['html', 'b=<p>&h=Content-Type:text/html;%20charset%3dutf-8'],
    ['a large body', 'n=3000000'],
    ['a body of unknown length', 'b=whole&h=Content-Length:'],
) {
    my ($name, $args) = @$case;

    $args =~ s/&h=Content-Length:$/&h=Transfer-Encoding:identity/;

    my $plain = $t->ask(GET => "/plain/?$args");
    my $held = $t->ask(GET => "/held/?$args");
    my $queued = queued(GET => "/queued/?$args");

    is(plain($held), plain($plain), "$name: held");
    is($held->header('async-id'), undef, "$name: held, nothing is stored");
    is(plain($queued), plain($plain), "$name: from the store");
    like($queued->header('async-id'), qr/^[0-9a-f-]{36}$/,
         "$name: from the store, with its id");
}

{
    my $plain = $t->ask(GET => '/plain/?b=1.0', version => '1.0');
    my $queued = queued(GET => '/queued/?b=1.0', version => '1.0');

    is(plain($queued), plain($plain), 'HTTP/1.0');
}

{
    my @range = (headers => ['Range: bytes=0-1']);
    my $q = 'b=abcdef&h=ETag:%22abc%22&h=Accept-Ranges:bytes';

    is(plain(queued(GET => "/queued/?$q", @range)),
       plain($t->ask(GET => "/plain/?$q", @range)),
       'a range is what the call made of it');
}

{
    my $q = 'half=open&n=100000';
    my $r = $t->begin(GET => "/held/?$q");

    ok($r->expect(qr/xxx/), 'a body is streamed as it comes');
    $t->release('open');
    is(length $r->finish->{body}, 100000, 'to its end');
}

# a connection that is kept, and requests that come early

{
    my $first = $t->begin(GET => '/queued/?hold=pipe');
    Driver::until_true(5, sub { $t->requests('GET /?hold=pipe') });

    my $body = 'x' x 10;
    my $c = $t->begin(GET => '/held/?b=third', before => join '',
        "GET /queued/?b=first HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /queued/?b=second HTTP/1.1\r\nHost: localhost\r\n",
        "Content-Length: 10\r\n\r\n$body");

    ok($c->held, 'pipelined: held');
    $t->release('pipe');
    $first->finish;

    my $text = $c->finish->{text};
    is(join(' ', $text =~ /\r\n\r\n(first|second|third)/g),
       'first second third', 'pipelined: all are answered in order');
    is(scalar(() = $text =~ m{HTTP/1\.1 200}g), 3, 'as it should be');
    is($t->requests('POST /?b=second'), 1, 'once');
}

# the same key: the second client waits for the job of the first

{
    my @key = (headers => ['Idempotency-Key: k1'], body => 'x');

    my $first = $t->begin(POST => '/held/?hold=key&b=once', @key);
    Driver::until_true(5, sub { $t->requests('POST /?hold=key') });

    my $second = $t->begin(POST => '/held/?hold=key&b=once', @key);
    ok($second->held, 'a repeat is held');

    $t->release('key');
    my ($a, $b) = ($first->finish, $second->finish);

    is($a->{body}, 'once', 'the first gets the response');
    is(plain($b), plain($a), 'the repeat gets the same');
    is($b->header('async-id'), $a->header('async-id'), 'of the same job');
    is($t->requests('POST /?hold=key'), 1, 'it was sent once');

    my $third = $t->ask(POST => '/held/?hold=key&b=once', @key);
    is(plain($third), plain($a), 'a later repeat, too');
}

# a job that ends without a response

{
    my $r = queued(GET => '/timeout/?hold=never');

    is($r->{status}, 504, 'no response, from the queue: 504');
    is($r->header('content-type'), 'application/problem+json', 'a problem');
    is($r->json->{code}, 'timeout', 'that says why');
    like($r->header('async-id'), qr/^[0-9a-f-]{36}$/, 'with the id');

    $r = $t->ask(GET => '/timeout/?hold=never',
                 headers => ['Idempotency-Key: t1']);

    is($r->{status}, 504, 'no response, held for its own stored call: 504');
    is($r->json->{code}, 'timeout', 'that says why');

    $r = $t->ask(GET => '/timeout/?hold=never');
    is($r->{status}, 504, 'no response, held for a call in memory: 504');

}

# a response that begins in time is the client's, stored or not

{
    my $r = queued(GET => '/large/?b=more-than-ten-bytes');
    is($r->{body}, 'more-than-ten-bytes', 'too large to be stored: streamed');

    my $d = $t->ended('/jobs/' . $r->header('async-id'));
    is($d->{status}, 'failed', 'too large to be stored: the job fails');
    is($d->{error}{code}, 'response_too_large', 'that says why');

    my $name = 'streamed';
    my $first = $t->begin(GET => "/queued/?hold=$name");
    Driver::until_true(5, sub { $t->requests("GET /?hold=$name") });

    my @key = (headers => ['Idempotency-Key: s1']);
    my $second = $t->begin(GET => '/soon/?half=rest&n=100000', @key);
    ok($second->held, 'it waits in the queue');
    $t->release($name);

    ok($second->expect(qr/\r\n\r\nx/), 'a stored job is streamed, too');
    my ($id) = $second->{text} =~ /^Async-Id: (\S+)/m;
    is($t->ask(GET => "/jobs/$id")->json->{status}, 'running',
       'while it comes');

    # its hold is over when that of one that came later is

    my $third = $t->begin(GET => '/short/?b=x');
    is($third->finish->{status}, 202, 'others are not held for longer');

    # a repeat is held on for a response that has begun

    my $again = $t->begin(GET => '/soon/?half=rest&n=100000', @key);
    ok($again->held(2.5), 'a repeat is held until it is complete');

    $t->release('rest');
    is(length $second->finish->{body}, 100000, 'all of it, after the hold');
    is(length $again->finish->{body}, 100000, 'and all of it again');
    $first->finish;
}

# a job canceled by somebody else

{
    my $c = $t->begin(GET => '/held/?hold=cancel',
                      headers => ['Idempotency-Key: c1']);
    Driver::until_true(5, sub { $t->requests('GET /?hold=cancel') });

    my $job = $t->job(GET => '/held/?hold=cancel',
                      headers => ['Idempotency-Key: c1',
                                  'Prefer: respond-async']);

    is($t->ask(DELETE => $job)->{status}, 202, 'canceled');
    ok($t->left('cancel'), 'the call is aborted');

    my $r = $c->finish;
    is($r->{status}, 404, 'its held client is told so');
    like($r->json->{type}, qr/canceled$/, 'by a problem');
}

# not in time

{
    my $first = $t->begin(GET => '/queued/?hold=late');
    Driver::until_true(5, sub { $t->requests('GET /?hold=late') });

    my $r = $t->ask(GET => '/short/?b=x');
    is($r->{status}, 202, 'a job that does not start in time: 202');
    is($r->json->{status}, 'notStarted', 'with its true status');
    cmp_ok($r->{time}, '>', 0.25, 'after the hold');

    $t->release('late');
    $first->finish;
}

# a client that leaves

{
    my $c = $t->begin(GET => '/held/?hold=leave',
                      headers => ['Idempotency-Key: l1']);
    Driver::until_true(5, sub { $t->requests('GET /?hold=leave') });
    $c->leave;

    $t->release('leave');

    my $r = $t->ask(GET => '/held/?hold=leave',
                    headers => ['Idempotency-Key: l1']);

    is($r->{status}, 200, 'the response of a client that left');
    is($t->requests('GET /?hold=leave'), 1, 'of the same call');
}

# two workers: the call runs where its client is not

{
    my $t = Jobs->new(workers => 2, http => sub {
        my ($t) = @_;
        return <<"END";
    async_queue one concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};

        location /queued/ {
            async on queue=one;
            async_wait 3s;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location = /worker { return 200 \$pid; }
        location /jobs/ { async_jobs; async_jobs_list all; }
    }
END
    });

    my $first = $t->begin_in(-1, GET => '/queued/?hold=a');
    Driver::until_true(5, sub { $t->requests('GET /?hold=a') });

    my $second = $t->begin_in(-$first->{worker},
                              POST => '/queued/?half=b&n=300000', body => 'x');
    ok($second->held, 'two workers: it waits in the queue');

    $t->release('a');
    is($first->finish->{status}, 200, 'the slot is free in the other worker');
    Driver::until_true(5, sub { $t->requests('POST /?half=b') });

    # its progress is seen in both

    my ($id) = $t->ask(GET => '/jobs/')->{body} =~ /"id":"([^"]+)","status":"r/;

    for my $in ($first->{worker}, -$first->{worker}) {
        my $bytes;

        Driver::until_true(5, sub {
            my $r = $t->begin_in($in, GET => "/jobs/$id")->finish;
            $bytes = $r->json->{progress}{bytes_received};
            return $bytes >= 100000;
        });

        cmp_ok($bytes, '>=', 100000, "progress, in the worker $in");
    }

    # longer than the hold

    ok($second->held(3.5), 'a response that began there is waited for');

    $t->release('b');
    my $r = $second->finish;
    is($r->{status}, 200, 'until it is complete');
    is(length $r->{body}, 300000, 'and given whole');

    $t->stop;
}

$t->stop;

done_testing;
