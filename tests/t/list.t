#!/usr/bin/perl

# GET {jobs uri}, with jobs of several owners, servers, queues and states.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;
use Time::HiRes ();

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue other concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        async_owner \$http_x_user;
        async_jobs_uri /own/;

        location /a/ { async on; $pass }
        location /other/ { async on queue=other; $pass }
        location /own/ { async_jobs; async_jobs_list own; }
        location /all/ { async_jobs; async_jobs_list all;
                         async_jobs_uri https://api.example.com/all/; }
    }

    server {
        listen 127.0.0.1:$t->{port};
        server_name second;
        location /a/ { async on; $pass }
        location /jobs/ { async_jobs; async_jobs_list all; }
    }
END
});

my @alice = ('X-User: alice');
my @bob = ('X-User: bob');


# ids of one millisecond have no order

my $then = 0;

sub submit
{
    my ($uri, @headers) = @_;

    Driver::until_true(5, sub { Time::HiRes::time() * 1000 >= $then + 1 });

    my $r = $t->ask(GET => $uri, headers => [@headers]);
    my $id = $r->header('async-id');

    $then = Time::HiRes::time() * 1000;

    Driver::until_true(5, sub {
        $t->ask(GET => "/own/$id", headers => [@headers])->{body}
            =~ /succeeded|failed|canceled/;
    }) unless $uri =~ /hold|queued/;

    return $id;
}


sub list
{
    my ($uri, @headers) = @_;
    return $t->ask(GET => $uri, headers => [@headers])->json;
}


sub ids
{
    my ($d) = @_;
    return join ' ', map { $_->{id} } @{$d->{jobs}};
}


is(ids(list('/own/', @alice)), '', 'no jobs');

my @a = map { submit("/a/?b=secret$_", @alice) } 1 .. 5;
my $b = submit('/a/?b=bob', @bob);
my $f = submit('/a/?s=500', @alice);
my $run = submit('/other/?hold=list', @alice);
my $queued = submit('/other/?b=queued', @alice);
my $second = $t->ask(GET => '/a/?b=x', headers => ['Host: second'])
    ->header('async-id');

my $newest = join ' ', $queued, $run, $f, reverse @a;

Driver::until_true(5, sub {
    $t->ask(GET => "/own/$run", headers => \@alice)->{body} =~ /running/;
});

# who sees what

{
    my $r = $t->ask(GET => '/own/', headers => \@alice);
    is(ids($r->json), $newest, 'own: one\'s own, newest first');
    is(ids(list('/own/', @bob)), $b, 'own: of another owner');
    is(ids(list('/all/')), "$queued $run $f $b " . join(' ', reverse @a),
       'all: all of the server');
    is(ids(list('/jobs/', 'Host: second')), $second, 'all: of another server');
}

# what they are

{
    my ($job) = grep { $_->{id} eq $a[0] } @{list('/own/', @alice)->{jobs}};
    my $d = $t->ask(GET => "/own/$a[0]", headers => \@alice)->json;

    delete $_->{request} for $job, $d;
    is_deeply($job, $d, 'what is at J');
}

# filters, with all kinds of jobs

is(ids(list('/own/?status=running', @alice)), $run, 'status=running');
is(ids(list('/own/?queue=other', @alice)), "$queued $run", 'queue');
is(ids(list('/own/?queue=other&status=running', @alice)), $run, 'both');

# pages

for my $uri ('/own/', '/all/') {
    my ($seen, $pages, $next) = ('', 0, "$uri?limit=3&status=succeeded");
    my $base = $uri eq '/own/' ? "http://localhost:$t->{port}/own/"
        : 'https://api.example.com/all/';

    while ($next && $pages < 9) {
        my $d = list($next, @alice);
        $seen .= ($pages++ ? ' ' : '') . ids($d);
        $next = $d->{next};

        if ($next) {
            is(index($next, "$base?"), 0, "$uri: next is a full URL");
            $next =~ s{^https?://[^/]*}{};
        }
    }

    my @want = reverse(@a);
    unshift @want, $b if $uri eq '/all/';

    is($seen, "@want", "$uri: all pages together");
    is($pages, 2, "$uri: of that size");
}

$t->release('list');

$t->stop;

done_testing;
