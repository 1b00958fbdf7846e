#!/usr/bin/perl

# async_key: repeats at once, and for how long a key is taken.

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

    server {
        listen 127.0.0.1:$t->{port} reuseport;

        location /a/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /hold/ { async on; async_wait 10s; $pass }
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
