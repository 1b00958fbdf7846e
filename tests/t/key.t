#!/usr/bin/perl

# async_key: what counts as the same request, and for how long.

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
    async_queue one concurrency=1;
    client_body_buffer_size 16k;

    server {
        listen 127.0.0.1:$t->{port} reuseport;

        location /a/ { async on; $pass }
        location /other/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /hold/ { async on; async_wait 10s; $pass }
        location /off/ { async on; async_key off; $pass }
        location /own/ { async on; async_key \$arg_key; $pass }
        location /same/ { async on; async_key \$async_fingerprint; $pass }
        location /owner/ {
            async on;
            async_owner \$http_x_user;
            async_jobs_uri /owned/;
            $pass
        }
        location /jobs/ { async_jobs; }
        location /owned/ { async_owner \$http_x_user; async_jobs; }
        async_jobs_uri /jobs/;
    }

    server {
        listen 127.0.0.1:$t->{port};
        server_name second;
        location /a/ { async on; $pass }
        location /jobs/ { async_jobs; }
    }
END
});


sub id
{
    my ($method, $uri, $key, %args) = @_;

    $args{headers} = [@{$args{headers} // []},
                      defined $key ? "Idempotency-Key: $key" : ()];
    my $r = $t->ask($method => $uri, %args);

    return $r->{status} == 202 ? $r->header('async-id') : $r->{status};
}


# the same key

{
    my $id = id(POST => '/a/x', '"k1"', body => 'x');

    like($id, qr/^[0-9a-f-]{36}$/, 'a key');
    is(id(POST => '/a/x', '"k1"', body => 'x'), $id, 'again: the same job');
    is(id(POST => '/a/x', 'k1', body => 'x'), $id, 'bare: the same key');
    is(id(POST => '/a/x', '"k1";a=b', body => 'x'), $id, 'with parameters');
    is(id(POST => '/a/x', '"k1"', body => 'x') , $id, 'and again');

    my $job = "/jobs/$id";
    $t->ended($job);
    is(id(POST => '/a/x', '"k1"', body => 'x'), $id, 'when it has finished');

    my $r = $t->ask(POST => '/a/x', body => 'x',
                    headers => ['Idempotency-Key: k1']);
    is($r->json->{status}, 'succeeded', 'with its true status');
    is($r->header('location'),
       "http://localhost:$t->{port}$job/result", 'and URLs');

    is($t->requests('POST /x '), 1, 'it was sent once');

    isnt(id(POST => '/a/x', undef, body => 'x'), $id, 'without a key');
    isnt(id(POST => '/a/x', 'K1', body => 'x'), $id, 'keys have case');

    is(id(POST => '/a/x', 'k1', body => 'y'), 422, 'another body: 422');
    is(id(POST => '/a/y', 'k1', body => 'x'), 422, 'another URI: 422');
    is(id(POST => '/a/x?q', 'k1', body => 'x'), 422, 'another query: 422');
    is(id(PUT => '/a/x', 'k1', body => 'x'), 422, 'another method: 422');
    is(id(POST => '/a/x', 'k1', body => 'x', headers => ['X-A: b']), $id,
       'other headers do not count');

    isnt(id(POST => '/a/x', 'k1', body => 'y',
            headers => ['Authorization: Basic YTpi']), 422,
         'another Authorization: another key');
    isnt(id(POST => '/a/x', 'k1', body => 'y', headers => ['Host: second']),
         422, 'another server: another key');
    is(id(POST => '/other/x', 'k1', body => 'x'), 422,
       'another location of the server: the same key');

    my $a = id(POST => '/owner/', 'k1', body => 'a', headers => ['X-User: a']);
    my $b = id(POST => '/owner/', 'k1', body => 'b', headers => ['X-User: b']);
    like($b, qr/^[0-9a-f-]{36}$/, 'another owner: another key');
    isnt($a, $b, 'and another job');
    is(id(POST => '/owner/', 'k1', body => 'a', headers => ['X-User: a']), $a,
       'the same owner: the same');
}

# its forms

for my $case (
    ['""', 400], ['"', 400], ['"a', 400], ['"a" b', 400], ['"a\\x"', 400],
    ['"a";', 400], ['"a"b', 400],
) {
    my ($key, $status) = @$case;
    my $r = $t->ask(POST => '/a/f', body => '',
                    headers => ["Idempotency-Key: $key"]);

    is($r->{status}, $status, "$key: $status");
    is($r->header('content-type'), 'application/problem+json',
       "$key: a problem");
}

is(id(POST => '/a/e', '"a\\"b"', body => ''),
   id(POST => '/a/e', 'a"b', body => ''), 'escapes');
is(id(POST => '/a/long', 'x' x 4000, body => ''),
   id(POST => '/a/long', 'x' x 4000, body => ''), 'a long key');
isnt(id(POST => '/a/', '', body => ''), id(POST => '/a/', '', body => ''),
     'an empty header is none');

{
    my $body = 'x' x 100000;
    my $id = id(POST => '/a/file', 'file', body => $body);
    is(id(POST => '/a/file', 'file', body => $body), $id,
       'a body in a file: the same');
    is(id(POST => '/a/file', 'file', body => $body . 'y'), 422,
       'another one: 422');
}

# other keys

isnt(id(POST => '/off/', 'k', body => ''), id(POST => '/off/', 'k', body => ''),
     'async_key off');
is(id(POST => '/own/?key=o', undef, body => ''),
   id(POST => '/own/?key=o', undef, body => ''), 'a key of one\'s own');
is(id(POST => '/own/?key=o', undef, body => 'x'), 422, 'its reuse');
isnt(id(POST => '/own/', 'k', body => ''), id(POST => '/own/', 'k', body => ''),
     'the header is not read then');

{
    my $id = id(POST => '/same/?q', undef, body => 'x');

    is(id(POST => '/same/?q', undef, body => 'x'), $id,
       '$async_fingerprint joins identical requests');
    for my $other (id(POST => '/same/?q', undef, body => 'y'),
                   id(POST => '/same/?r', undef, body => 'x'),
                   id(PUT => '/same/?q', undef, body => 'x'))
    {
        like($other, qr/^[0-9a-f-]{36}$/, 'others are other jobs');
        isnt($other, $id, 'of their own');
    }
}

# held

{
    my @args = (POST => '/hold/?b=held', body => 'x',
                headers => ['Idempotency-Key: h1']);

    my $first = $t->ask(@args);
    is($first->{body}, 'held', 'held: the response');
    like($first->header('async-id'), qr/^[0-9a-f-]{36}$/,
         'its job is stored, so there is an id');

    my $again = $t->ask(@args);
    is($again->{body}, 'held', 'a repeat: the result');
    is($again->header('async-id'), $first->header('async-id'),
       'of the same job');
    is($t->requests('POST /?b=held'), 1, 'it was sent once');

    is($t->ask(POST => '/hold/?b=held', body => 'y',
               headers => ['Idempotency-Key: h1'])->{status}, 422,
       'a reuse is not held');
}

# many at once, in two workers

{
    my @clients = map {
        $t->begin(POST => '/hold/?b=race&hold=race', body => 'x',
                  headers => ['Idempotency-Key: race'])
    } 1 .. 20;

    ok($clients[0]->held, 'all are held');
    $t->release('race');

    my @answers = map { $_->finish } @clients;
    my %ids = map { ($_->header('async-id') // 'none') => 1 } @answers;

    is(scalar(grep { $_->{body} eq 'race' } @answers), 20,
       'twenty at once: all get the response');
    is(scalar keys %ids, 1, 'of one job');
    is($t->requests('POST /?b=race'), 1, 'that was sent once');
}

# when a key is free again

{
    my $id = id(POST => '/a/free', 'free', body => '');
    $t->ended("/jobs/$id");

    is($t->ask(DELETE => "/jobs/$id")->{status}, 204, 'forgotten');
    my $next = id(POST => '/a/free', 'free', body => '');
    isnt($next, $id, 'DELETE of a finished job frees its key');

    $t->ended("/jobs/$next");
    $t->ask(DELETE => "/jobs/$next");
    like(id(POST => '/a/free', 'free', body => 'other'),
         qr/^[0-9a-f-]{36}$/, 'for any request');
}

{
    my $first = $t->job(GET => '/one/?hold=cancel');
    $t->until($first, 'running');

    my $id = id(POST => '/one/', 'queued', body => '');
    is($t->ask(DELETE => "/jobs/$id")->{status}, 202, 'canceled');

    my $next = id(POST => '/one/', 'queued', body => '');
    isnt($next, $id, 'a job canceled before its start releases its key');
    $t->release('cancel');
    is($t->ended("/jobs/$next")->{status}, 'succeeded', 'the next one runs');
}

{
    my $id = id(POST => '/a/?hold=run', 'running', body => '');
    $t->until("/jobs/$id", 'running');
    $t->ask(DELETE => "/jobs/$id");

    is(id(POST => '/a/?hold=run', 'running', body => ''), $id,
       'one canceled while it ran keeps it: it may have been done');
}

# after a restart

{
    my $id = id(POST => '/a/restart', 'restart', body => '');
    $t->ended("/jobs/$id");

    $t->stop;
    $t->start;

    is(id(POST => '/a/restart', 'restart', body => ''), $id,
       'keys survive a restart');
}

$t->stop;

done_testing;
